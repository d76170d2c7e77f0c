"""How large the saved state of a run will be, before there is one."""

from contsemi.config import Config
from contsemi.learner.learner import Learner

__all__ = ["state_bytes"]

# Copies of every weight that an optimiser keeps.
_SLOTS = {"adamw": 2, "sgd": 1, "lars": 1}


def state_bytes(learner: Learner, config: Config, image_bytes: int, classes: int) -> int:
    """Bytes of the largest saved state, near enough for a look at the free space.

    Args:
        learner: before its first task.
        config: the run.
        image_bytes: of one image.
        classes: of the stream.
    """
    own = [*learner.network.parameters(), *learner.network.buffers()]
    own += [*learner.objective.parameters(), *learner.objective.buffers()]
    weights = sum(tensor.nbytes for tensor in own)
    copies = 1 + _SLOTS[config.optim.name] * learner.needs.trains
    copies += (learner.needs.teacher is not None) + learner.networks.keep
    copies += learner.needs.start > 0
    pixels = 0 if learner.reads_again else image_bytes
    exemplars = config.memory.exemplars * (pixels + 32)
    shared, each = learner.embeddings.bytes_of(config.projector[-1], classes)
    embeddings = shared + learner.embeddings.budget * each
    return weights * copies + exemplars + embeddings
