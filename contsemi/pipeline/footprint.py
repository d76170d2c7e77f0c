"""How large the saved state of a run will be, before there is one."""

from contsemi.config import Config
from contsemi.learner.kept import network_bytes
from contsemi.learner.learner import Learner
from contsemi.learner.optimisers import SLOTS


def state_bytes(learner: Learner, config: Config, image_bytes: int, classes: int) -> int:
    """Bytes of the largest saved state, near enough for a look at the free space.

    Args:
        learner: before its first task.
        config: the run.
        image_bytes: of one image.
        classes: of the stream.
    """
    weights = network_bytes(learner.network) + network_bytes(learner.objective)
    copies = 1 + SLOTS[config.optim.name] * learner.needs.trains
    copies += (learner.needs.teacher is not None) + learner.networks.keep
    copies += learner.needs.start > 0
    pixels = 0 if learner.reads_again else image_bytes
    exemplars = config.memory.exemplars * (pixels + 32)
    anchors = config.memory.anchors * (image_bytes + 8)
    shared, each = learner.embeddings.bytes_of(config.projector[-1], classes)
    embeddings = shared + learner.embeddings.budget * each
    statistics = learner.inference.decides.bytes_of(learner.network.num_features, classes)
    return weights * copies + exemplars + anchors + embeddings + statistics
