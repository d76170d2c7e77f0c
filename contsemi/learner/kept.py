"""What a learner keeps beside the network that it trains, in bytes and by name."""

from torch import nn

from contsemi.learner.learner import Learner
from contsemi.types import SoftLabels


def network_bytes(network: nn.Module | None) -> int:
    """Bytes of a network's weights and statistics; 0 for none."""
    if network is None:
        return 0
    return sum(each.nbytes for each in (*network.parameters(), *network.buffers()))


def kept_bytes(learner: Learner) -> dict[str, int]:
    """Bytes of all that is kept of earlier tasks or beside the network; what is empty is left out.

    Args:
        learner: of any task, or between two.

    Returns:
        ``exemplars``, ``embeddings``, their ``index``, ``anchors`` and, under its name, what the
        predictor keeps;
        ``objective.NAME`` and ``distiller.NAME`` of their banks; ``past``, the frozen networks;
        ``average``, the EMA copy; ``start``, the one that the task began with.
    """
    kept = {
        "exemplars": learner.exemplars.memory_bytes,
        "embeddings": learner.embeddings.memory_bytes,
        "anchors": learner.anchors.memory_bytes,
        "index": learner.embeddings.index_bytes,
        learner.config.predict["name"]: learner.inference.decides.memory_bytes,
    }
    for owner, part in (("objective", learner.objective), ("distiller", learner.distiller)):
        for name, module in part.named_modules():
            kept[f"{owner}.{name}"] = getattr(module, "memory_bytes", 0)
    networks = learner.networks
    kept["past"] = sum(map(network_bytes, networks.pasts))
    kept["average"] = network_bytes(networks.teacher and networks.teacher.network)
    kept["start"] = network_bytes(networks.start)
    return {name: size for name, size in kept.items() if size}


def without_exemplars(learner: Learner) -> list[int]:
    """Seen columns of which nothing is kept, where the method predicts or distils by images.

    Rows of the embedding memory distil in place of images, but do not predict.
    """
    needs, config = learner.distiller.needs, learner.config
    distils = needs.labelled_from == "all"
    predicts = config.predict["name"] == "objective" and learner.objective.needs.supports_at_test
    if not (distils or predicts):
        return []
    held = set(learner.exemplars.labels.tolist())
    if learner.reads_embeddings and not predicts and len(learner.embeddings):
        probs = learner.embeddings.probs
        likeliest = probs.columns[:, 0] if isinstance(probs, SoftLabels) else probs.argmax(1)
        held |= set(likeliest.tolist())
    return sorted(set(range(learner.num_seen)) - held)
