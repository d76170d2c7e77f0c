"""Keys that the method at hand does not read: what its views, heads and memory have no use for."""

from collections.abc import Iterable, Iterator, Sequence

from torch import nn

from contsemi.blocks.block import Block
from contsemi.config import Config
from contsemi.discovery import Part, parts_of
from contsemi.distillers.distiller import Distiller
from contsemi.labels import LabelBudget
from contsemi.labels.choices.choice import Choice
from contsemi.learner.learner import Learner
from contsemi.learner.several import SeveralDistillers
from contsemi.models.heads import Prototypes
from contsemi.models.network import Network
from contsemi.types import Experience, Head, Needs

_POLICIES = "views.policies."


def notes(
    config: Config,
    learner: Learner | None,
    given: Iterable[str],
    tasks: Sequence[Experience] = (),
) -> list[str]:
    """What is to be said of keys of the command line that do nothing, one line each.

    They are no errors: a benchmark and a sweep give all methods the same keys.

    Args:
        config: the run.
        learner: before its first task; ``None`` for a strategy of Avalanche.
        given: keys that somebody asked for.
        tasks: of the stream; none where they are not known beforehand.
    """
    reasons = ((key, _undrawn(config, key) or (learner and unread(learner, key))) for key in given)
    idle = [f"{key} has no effect: {why}" for key, why in reasons if why]
    if learner is None:
        return idle
    return [*idle, *_merely_random(learner), *_undone(learner, tasks), *_too_late(learner)]


def _undrawn(config: Config, key: str) -> str | None:
    """What chooses among images for labels, where all of them have one, or does not read it."""
    chooses = key in ("labels", "scenario.label_seed") or key.startswith("labels.")
    if chooses and LabelBudget.parse(config.label_ratio).all:
        return "each image has its label"
    if key.startswith("labels.") and (
        why := Choice.named(config.labels).why_idle(key.removeprefix("labels."))
    ):
        return f"labels.{why}"
    return None


def unread(learner: Learner, key: str) -> str | None:
    """Why a key has no effect on a learner; ``None`` where it may have one."""
    method, needs, network = learner.config.method, learner.needs, learner.network
    if key.startswith(_POLICIES):
        return _unseen(key, method, needs)
    if key.startswith("optim.") and not needs.trains:
        return f"{method} trains nothing"
    if key == "optim.backbone_lr" and network.frozen:
        return "the backbone is frozen"
    if key == "memory.embeddings" or key.startswith("memory.drift"):
        return None if learner.reads_embeddings else f"{method} asks for no rows of past embeddings"
    if key == "memory.anchors" and not _follows(learner):
        return f"{method} fits no map of drift, and the images are lost to its tasks"
    if key == "memory.exemplars" and not _shows_exemplars(learner):
        return f"{method} has no use for old images, but for the 'neighbours' of the tables"
    if key == "predict.ridge" and learner.inference.decides.needs_past and not _follows(learner):
        return "it is of the map that follows the features, and these stay as they are"
    if key in ("memory.index", "memory.code_bytes") and not _searches(learner):
        return f"{method} searches no rows, but for the predictor 'index' of the tables"
    if reason := _idle(learner, key):
        return reason
    if key == "batch.labelled":
        return _labelled(learner.config, needs)
    if key == "coarse_ratio" and "coarse" not in needs.rows:
        return f"{method} learns from no coarse label"
    if key == "optim.classifier_lr" and not learner.objective.teaches("classifier"):
        return f"{method} has no classifier that a term of its loss teaches"
    lacking = [head for head in _heads_of(key) if not _has(network, head)]
    if lacking and len(lacking) == len(_heads_of(key)):
        return f"{method} has no {' and no '.join(lacking)}"
    return None


def _parts(learner: Learner) -> dict[str, Part]:
    """The parts whose keys are told of, each by the section that its keys are in."""
    distillers = {key: part for key, _, part in _distillers(learner)}
    return {"objective": learner.objective, "predict": learner.inference.decides} | distillers


def _distillers(learner: Learner) -> Iterator[tuple[str, str, Distiller]]:
    """Section, name and part of each distiller."""
    distiller = learner.distiller
    if isinstance(distiller, SeveralDistillers):
        yield from ((f"distiller.{name}", name, part) for name, part in distiller.each().items())
    else:
        yield "distiller", str(learner.config.distiller["name"]), distiller


def _idle(learner: Learner, key: str) -> str | None:
    """What a part says of its key."""
    for section, part in _parts(learner).items():
        field = key.removeprefix(f"{section}.")
        if field != key and (why := part.why_idle(field)):
            return f"{section}.{why}"
    return None


def _too_late(learner: Learner) -> Iterator[str]:
    """What begins in an epoch that no task has, whatever keys are given."""
    epochs = learner.config.optim.epochs
    for section, part in _parts(learner).items():
        for field, start in part.begins.items():
            wanted = field.startswith("weights.") or getattr(part, field)
            if wanted and (first := getattr(part, start)) >= epochs:
                yield (
                    f"{section}.{field} has no effect: {section}.{start}={first} epochs of a task "
                    f"come before, and optim.epochs is {epochs}"
                )


def _follows(learner: Learner) -> bool:
    """Whether something kept is carried along with features or embeddings that move."""
    if learner.reads_embeddings and learner.config.memory.embeddings:
        return True
    moves = learner.needs.trains and not learner.network.frozen
    return moves and learner.inference.decides.needs_past


def _shows_exemplars(learner: Learner) -> bool:
    """Whether old images are learned from, predicted by, or followed where they go."""
    needs = learner.needs
    learned = needs.labelled_from == "all" and "labelled" in needs.rows
    return learned or needs.supports_at_test or _follows(learner)


def _searches(learner: Learner) -> bool:
    """Whether what is learned comes of nearest rows: of the past, or of the task's own images."""
    past = learner.reads_embeddings and learner.config.memory.embeddings
    return bool(past) or any(type(each).refresh is not Block.refresh for each in learner.blocks)


def _unseen(key: str, method: str, needs: Needs) -> str | None:
    policy = key.removeprefix(_POLICIES).partition(".")[0]
    seen = sorted({view.policy for view in needs.views.values() if view.mix is None})
    if policy in seen:
        return None
    return f"{method} asks for no {policy} views, but for {', '.join(seen) or 'none at all'}"


def _merely_random(learner: Learner) -> list[str]:
    """Policies whose swapped backgrounds no method tells apart."""
    told = {view.policy for view in learner.needs.views.values() if view.swapped}
    seen = {view.policy for view in learner.needs.views.values() if view.mix is None}
    return [
        f"{_POLICIES}{name}.background=swap does what random does: {learner.config.method} has no "
        f"negatives of {name} views"
        for name, crop in learner.config.views.policies.items()
        if crop.background == "swap" and crop.background_probability and name in seen - told
    ]


def _undone(learner: Learner, tasks: Sequence[Experience]) -> list[str]:
    """What a distiller does not do, or does to the objective's wish, whatever keys are given."""
    config = learner.config
    found = []
    exemplars = config.memory.exemplars > 0 and "labelled" in learner.needs.rows
    for section, name, part in _distillers(learner):
        heads = part.needs.heads
        by_features = all(isinstance(head, Head) and head.on == "features" for head in heads)
        weights = parts_of(config.distiller)[name].get("weights", {})
        why = part.why_undone(tasks, exemplars=exemplars) if tasks else None
        if heads and by_features and learner.network.frozen:
            why = "features of a frozen backbone stay"
        elif weights and not any(weights.values()):
            why = f"no term of it has a weight above 0 in {section}.weights"
        if why:
            found.append(f"distiller={name} has no effect: {why}")
    wish = learner.objective.needs.labelled_from
    if wish == "current" and learner.needs.labelled_from == "all" and config.memory.exemplars:
        does = f"{config.method} then learns from, too"
        found.append(
            f"objective.labelled_from=current has no effect: exemplars distil, which {does}"
        )
    return found


def _labelled(config: Config, needs: Needs) -> str | None:
    if "labelled" not in needs.rows:
        return f"{config.method} learns from no view of labelled images"
    if needs.supports_per_class:
        return f"{config.method} draws labelled images by class (supports_per_class)"
    return None


def _heads_of(key: str) -> tuple[str, ...]:
    """The heads that a key is of; it has an effect where there is one of them."""
    return {
        "projector": ("projector", "auxiliary"),
        "init.projector": ("projector",),
        "predictor": ("predictor",),
        "head_norm": ("projector", "predictor", "auxiliary"),
        "head_activation": ("projector", "predictor", "auxiliary"),
        "optim.classifier_lr": ("classifier",),
        "optim.freeze_directions": ("prototypes",),
        "optim.freeze_batch_norm": ("BatchNorm",),
    }.get(key, ())


def _has(network: Network, head: str) -> bool:
    if head == "prototypes":
        return any(isinstance(each, Prototypes) for each in network.modules())
    if head == "BatchNorm":
        kinds = nn.modules.batchnorm._BatchNorm
        return any(isinstance(each, kinds) for each in network.modules())
    return head in dict(network.named_children())
