"""Builds the objective, the distiller and the network that a configuration describes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from contsemi.blocks.block import Block
from contsemi.blocks.past_rows import PastRows
from contsemi.config import Config, Views
from contsemi.data.sources.cache import default_folder
from contsemi.devices.ranks import Ranks
from contsemi.discovery import Part, parts_of
from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError, MethodFailed
from contsemi.learner.known_features import KnownFeatures, folder_of, weights_digest
from contsemi.learner.several import SeveralDistillers
from contsemi.memory.embeddings import Embeddings
from contsemi.memory.selection.selection import Selection
from contsemi.models import build_backbone
from contsemi.models.heads import usual_heads
from contsemi.models.initialise import drawing_from
from contsemi.models.network import Network
from contsemi.models.origin import Origin
from contsemi.models.pretrained import load_weights
from contsemi.objectives.objective import Objective
from contsemi.predictors.predictor import Predictor
from contsemi.seeding import generator
from contsemi.storage.digest import sha256_of
from contsemi.types import Needs

_Part = TypeVar("_Part", bound=Part)


def build_part(
    options: Mapping[str, Any], base: type[_Part], seed: int = 0
) -> tuple[_Part, dict[str, float]]:
    """An objective or a distiller, and the weights of its terms.

    Args:
        options: the section of the configuration: ``name``, ``weights`` of the terms, and the
            keyword arguments of the class.
        base: the class that the part must extend.
        seed: of the run, by which layers of its own are drawn.

    Raises:
        InputError: the class does not take one of the keys.
        MethodFailed: it does not say what it needs.
    """
    with drawing_from(generator(seed, base.group, options["name"])):
        part = base.named(options)
    own = vars(part)
    if not isinstance(own.get("needs"), Needs) or "_modules" not in own:
        wanted = "super().__post_init__(), and self.needs, a Needs, set in __post_init__()"
        raise MethodFailed.returned(type(part), own.get("needs"), wanted, what="its needs are")
    weights = {name: float(weight) for name, weight in options.get("weights", {}).items()}
    if isinstance(part, Objective):
        part.muted = frozenset(name for name, weight in weights.items() if not weight)
    return part, weights


def build_distiller(
    options: Mapping[str, Any], seed: int = 0
) -> tuple[Distiller, dict[str, float]]:
    """The distiller, or several at once, and the weights of its terms.

    Args:
        options: as :func:`build_part` has them; of several each has its own under its name.
        seed: of the run.

    Raises:
        InputError: one of them does not take its keys, or two contradict each other.
    """
    several = parts_of(options)
    if len(several) == 1:
        return build_part(options, Distiller, seed)
    built: dict[str, Distiller] = {}
    weights: dict[str, float] = {}
    for name, own in several.items():
        try:
            built[name], of_terms = build_part(own, Distiller, seed)
        except InputError as error:
            key = error.where.replace("distiller.", f"distiller.{name}.", 1)
            raise InputError(key, error.problem, error.fix) from None
        weights |= {f"{name}.{term}": weight for term, weight in of_terms.items()}
    return SeveralDistillers(built), weights


def build_network(config: Config, needs: Needs) -> Network:
    """The network with the heads that are needed, from random weights or from a file's.

    Raises:
        InputError: the backbone's keys or the file of weights are at fault.
    """
    draw = generator(config.seed, "network")
    network = Network(
        build_backbone(config.model, draw, side=config.views.test_size),
        needs.heads,
        config.projector,
        draw,
        predictor=config.predictor,
        norm=config.head_norm,
        activation=config.head_activation,
    )
    if config.init.weights is not None:
        load_weights(network, Path(config.init.weights), projector=config.init.projector)
    return network


def all_needs(objective: Objective, distiller: Distiller, views: Views) -> Needs:
    """What a method asks for: swapped views only where the policy that they are of swaps.

    Args:
        objective: knows no policy.
        distiller: likewise.
        views: the policies.

    Raises:
        InputError: the two contradict each other.
    """
    both = objective.needs | distiller.needs
    needs = both.shown_to_past(start=distiller.needs.start > 0)
    swaps = {
        name
        for name, crop in views.policies.items()
        if crop.background == "swap" and crop.background_probability > 0
    }
    more = {name: view for name, view in needs.if_swapped.items() if view.policy in swaps}
    return replace(needs, views={**needs.views, **more})


def check_policies(needs: Needs, views: Views) -> None:
    """Refuses a configuration that lacks how a kind of views is made.

    Raises:
        InputError: it does.
    """
    for name, view in needs.views.items():
        if view.mix is None and view.policy not in views.policies:
            raise InputError(
                f"views.policies.{view.policy}",
                f"the method's views {name!r} are of this policy, and {views.name}.yaml has only "
                f"{', '.join(views.policies)}",
                "add it there",
            )


def check_sides(network: Network, needs: Needs, views: Views) -> None:
    """Refuses views of another side than the one that a backbone takes.

    Raises:
        InputError: there are such views.
    """
    side = getattr(network.backbone, "side", None)
    sizes = {"views.test_size": views.test_size}
    for view in needs.views.values():
        if view.mix is None and view.number:
            sizes[f"views.policies.{view.policy}.size"] = views.policies[view.policy].size
    odd = {key: size for key, size in sizes.items() if side not in (None, size)}
    if odd:
        key, size = next(iter(odd.items()))
        problem = f"is {size}, and this model takes images of {side} pixels alone"
        raise InputError(key, problem, f"set it to {side}, or choose another model=")


def known_features(
    config: Config, network: Network, device: torch.device, precision: torch.dtype
) -> KnownFeatures | None:
    """The features that are on the disk already, where the backbone is never trained.

    Args:
        config: the run.
        network: as it starts.
        device: that it runs on.
        precision: of its products.
    """
    if not network.frozen:
        return None
    views = config.views
    view = (views.mean, views.std, views.test_size, views.test_crop)
    made_by = (weights_digest(network.backbone), view, str(precision), device.type)
    return KnownFeatures(folder_of(config.data.cache, *made_by))


def origin_of(config: Config, network: Network) -> dict[str, str] | None:
    """Where the weights that a run starts from come from; ``None`` for random ones.

    Args:
        config: the run.
        network: as it starts.
    """
    if config.init.weights is not None:
        return asdict(
            Origin(
                name=Path(config.init.weights).name,
                source="a file",
                licence="unknown",
                sha256=sha256_of(Path(config.init.weights).expanduser()),
                labels="unknown",
            )
        )
    found = getattr(network.backbone, "origin", None)
    return None if found is None else asdict(found)


def from_state(config: Config) -> Config:
    """The same for a network whose weights come from a saved state.

    Neither the package nor the file of the weights that it began with need be there any more.
    """
    model = {
        key: False if key in ("pretrained", "download") else value
        for key, value in config.model.items()
    }
    init = config.init.model_copy(update={"weights": None})
    return config.model_copy(update={"model": model, "init": init})


def refuse_moving(config: Config, decides: Predictor, network: Network, needs: Needs) -> None:
    """Refuses a predictor whose statistics would be of features that have moved on.

    Raises:
        InputError: it is one, and the backbone is trained.
    """
    if decides.needs_still and needs.trains and not network.frozen:
        name = config.predict["name"]
        problem = f"{name} keeps statistics of features, and this backbone goes on learning"
        raise InputError("predict", problem, "set model.frozen=true, or write predict=moments")


def refuse_unweighted(config: Config, objective: Objective, distiller: Distiller) -> None:
    """Refuses a sample of the classes where rows cannot count for the classes left out.

    Raises:
        InputError: a method would take the classes of a step for all that there are, or draws its
            labelled rows without regard to class.
    """
    key = "batch.classes_per_step"
    if config.batch.classes_per_step is None:
        return
    if not objective.needs.supports_per_class:
        problem = "has no effect: labelled images are drawn without regard to class"
        raise InputError(key, problem, "leave it null, or set objective.supports_per_class")
    for group, part in (("objective", objective), ("distiller", distiller)):
        if not part.reweighs:
            name = getattr(config, group)["name"]
            problem = f"{group}={name} needs labelled images of all classes in each step"
            raise InputError(key, problem, "leave it null, or write method=nncsl or contsemi")


def refuse_untaught(config: Config, objective: Objective, distiller: Distiller) -> None:
    """Refuses a distiller of classes or clusters that the objective teaches the network nothing of.

    Raises:
        InputError: the frozen network's say would be of weights as they were drawn.
    """
    by_class = {name for name, head in usual_heads([1]).items() if head.per_class} | {"clusters"}
    asked = by_class.intersection(distiller.needs.head_names)
    untaught = {head for head in asked if not objective.teaches(head)}
    if untaught:
        kept, method = min(untaught), config.objective["name"]
        problem = f"keeps what the head {kept} says, which objective={method} does not train"
        fix = "name a head that it trains, or choose another distiller"
        raise InputError("distiller", problem, fix)


def refuse_nothing_to_learn_from(
    config: Config, objective: Objective, weights: Mapping[str, float]
) -> None:
    """Refuses a run that would learn nothing, before anything is made.

    Args:
        config: the run.
        objective: of it.
        weights: of the objective's terms.

    Raises:
        InputError: no term has a weight, or there is nothing to make terms of.
    """
    method, needs = config.method, objective.needs
    if not needs.trains and any(weights.values()):
        problem = f"{method} has nothing to learn from: it asks for no view of any image"
        fix = "raise objective.labelled_views, or another number of views, above 0"
        raise InputError("objective", problem, fix)
    if objective.needs_labels and "labelled" not in needs.rows:
        problem = f"is 0, and {method} has nothing to learn from without labelled images"
        raise InputError("objective.labelled_views", problem, "raise it above 0")
    if needs.trains and weights and not objective.learns_by(*weights):
        problem = "nothing is left to learn from: no loss term has a weight above 0"
        fix = f"raise {min(weights)} above 0"
        for name, weight in weights.items():
            if weight and (why := objective.why_idle(f"weights.{name}")):
                problem += f" but {name}, which never comes, as objective.{why}"
        raise InputError("objective.weights", problem, fix)


def refuse_without_exemplars(config: Config, objective: Objective) -> None:
    """Refuses a run whose objective could not predict, be it for the tables alone.

    Raises:
        InputError: it predicts from labelled images, and none are kept.
    """
    if objective.needs.supports_at_test and not config.memory.exemplars:
        problem = f"is 0, and objective={config.objective['name']} predicts from exemplars"
        raise InputError("memory.exemplars", problem, "set it above 0")


def refuse_without_coarse(config: Config, objective: Objective, coarse: int) -> None:
    """Refuses a method on coarse classes where there are none: it would believe its own guesses.

    Args:
        config: the run.
        objective: of it.
        coarse: coarse classes that the images have.

    Raises:
        InputError: they have none.
    """
    if "coarse" in objective.needs.rows and not coarse:
        name, scenario = config.objective["name"], config.scenario.name
        problem = f"objective={name} learns from coarse classes, and {scenario} has none"
        raise InputError("scenario.hierarchy", problem, "name a file of them, or choose another")


def refuse_without_labels(config: Config, objective: Objective, *, keeps_rows: bool) -> None:
    """Refuses a run that would go by the scores of an objective that no label teaches.

    Args:
        config: the run.
        objective: of it.
        keeps_rows: whether embeddings of the past are kept, with what it says of them.

    Raises:
        InputError: it is to predict, or to choose or name what is kept.
    """
    if objective.decides:
        return
    memory, own = config.memory, config.objective
    predicts = Predictor.named(config.predict).is_objective
    picks = Selection.named(memory.selection).wants_probs
    if (term := objective.labels_in) in objective.muted:
        views = f"objective.weights.{term} above 0, or "
    else:
        views = "objective.labelled_views above 0, or " if "labelled_views" in own else ""
    for key, asks, fix in (
        ("predict", predicts, f"set {views}predict=moments"),
        (
            "memory.pseudo_labels",
            memory.exemplars and memory.pseudo_labels is not None,
            "set it to null",
        ),
        ("memory.selection", memory.exemplars and picks, "choose another"),
        ("memory.embeddings", keeps_rows, "set it to 0"),
    ):
        if asks:
            problem = f"goes by what objective={own['name']} says, which no label teaches"
            raise InputError(key, problem, fix)


def build_embeddings(config: Config, blocks: Iterable[Block], ranks: Ranks) -> Embeddings:
    """The memory of embeddings, for blocks that read it: without rows where there are none."""
    memory, readers = config.memory, [each for each in blocks if isinstance(each, PastRows)]
    made = Embeddings(
        memory.embeddings if readers else 0,
        memory.index,
        code_bytes=memory.code_bytes,
        labels=memory.top_labels,
        room=memory.bytes,
        folder=_scratch_folder(config),
        peers=ranks,
    )
    for reader in readers:
        reader.view = made.view
    return made


def _scratch_folder(config: Config) -> Path | None:
    """Where an index lies that ``memory.bytes`` has no room for; ``None`` where all have room."""
    if config.memory.bytes is None:
        return None
    cache = config.data.cache
    return (Path(cache).expanduser() if cache else default_folder()) / "scratch"
