"""Keys that another key makes void, as far as that is known before a network is made."""

from collections.abc import Callable
from operator import attrgetter

from contsemi.config import Config

__all__ = ["why_idle"]

_Idle = Callable[[Config], bool]
_NO_ROWS = "memory.embeddings=0 keeps no rows", "set memory.embeddings above 0"
_NO_IMAGES = "memory.exemplars=0 keeps no images", "set memory.exemplars above 0"
_BUNDLED = "the digits are bundled", "leave it out"


def _no_rows(config: Config) -> bool:
    return not config.memory.embeddings


def _no_images(config: Config) -> bool:
    return not config.memory.exemplars


def _never_looks(config: Config) -> bool:
    asked = config.evaluate
    looks = asked.every_steps, asked.every_epochs, asked.probes, asked.discovery != "none"
    return not any(looks)


def _orders_nothing(config: Config) -> bool:
    scenario = config.scenario
    dealt = scenario.recurrence is not None or scenario.lists is not None
    return not (scenario.class_order == "shuffled" or dealt or scenario.novel or scenario.blur)


def _decays_nothing(config: Config) -> bool:
    optim = config.optim
    return optim.name != "lars" and not (optim.weight_decay or optim.final_weight_decay)


def _keeps_backgrounds(config: Config) -> bool:
    return all(crop.background == "none" for crop in config.views.policies.values())


# A key, or the section that it is in -> when it has no effect, why, and what to do about it. Keys
# that say where and how fast a run goes (data.cache, data.workers, ...) are taken everywhere.
_RULES: dict[str, tuple[_Idle, tuple[str, str]]] = {
    "memory.selection": (_no_images, _NO_IMAGES),
    "memory.pseudo_labels": (_no_images, _NO_IMAGES),
    "memory.drift": (_no_rows, _NO_ROWS),
    "memory.top_labels": (_no_rows, _NO_ROWS),
    "memory.code_bytes": (
        lambda config: config.memory.index != "pq",
        ("memory.index keeps no codes", "set memory.index=pq"),
    ),
    "optim.momentum": (
        lambda config: config.optim.name == "adamw",
        ("optim.name=adamw has moments of its own", "set optim.name=sgd"),
    ),
    "optim.nesterov": (
        lambda config: config.optim.name == "adamw",
        ("optim.name=adamw does not look ahead", "set optim.name=sgd"),
    ),
    "views.masks": (
        _keeps_backgrounds,
        (
            "no policy changes backgrounds",
            "set views.policies.large.background=remove, random or swap, or leave it out",
        ),
    ),
    "optim.adapt_vectors": (_decays_nothing, ("nothing is decayed", "set optim.weight_decay")),
    "optim.adapt_shortcut_norms": (
        _decays_nothing,
        ("nothing is decayed", "set optim.weight_decay"),
    ),
    "optim.start_lr": (
        lambda config: not config.optim.warmup,
        ("optim.warmup=0 warms nothing up", "set optim.warmup above 0"),
    ),
    "optim.clip_by": (
        lambda config: not config.optim.clip,
        ("optim.clip=0 clips nothing", "set optim.clip above 0"),
    ),
    "evaluate.images": (
        _never_looks,
        ("tasks are evaluated at their end, by all images", "set evaluate.every_epochs=1"),
    ),
    "evaluate.probe_images": (
        lambda config: not config.evaluate.probes,
        ("evaluate.probes=[] asks nothing", "name some, as evaluate.probes=[knn]"),
    ),
    "scenario.order_seed": (
        _orders_nothing,
        ("no order is drawn", "set scenario.class_order=shuffled"),
    ),
    "init.projector": (
        lambda config: config.init.weights is None,
        ("init.weights names no file", "set init.weights"),
    ),
    "data.test_share": (
        lambda config: config.scenario.dataset != "folder",
        ("this data set has test images", "leave it out"),
    ),
    "data.download": (lambda config: config.scenario.dataset == "digits", _BUNDLED),
}


# Keys of a kind of views -> the key of the same kind that has to be above 0, or other than none.
_OF_VIEWS = {
    "blur_sigma": "blur",
    "erase_scale": "erase",
    "rand_augment.probability": "rand_augment.operations",
    "jitter.brightness": "jitter.probability",
    "jitter.contrast": "jitter.probability",
    "jitter.saturation": "jitter.probability",
    "jitter.hue": "jitter.probability",
    "background_probability": "background",
    "background_least": "background",
}


def _of_views(config: Config, key: str) -> tuple[str, str] | None:
    name, _, rest = key.removeprefix("views.policies.").partition(".")
    switch = _OF_VIEWS.get(rest)
    if switch is None or name not in config.views.policies:
        return None
    value = attrgetter(switch)(config.views.policies[name])
    switch = f"views.policies.{name}.{switch}"
    if value == "none":
        return f"{switch}=none keeps it", f"set {switch}=remove, random or swap"
    return None if value else (f"{switch}=0 does nothing", f"set {switch} above 0")


def why_idle(config: Config, key: str) -> tuple[str, str] | None:
    """Why a key has no effect, and what to do about it; ``None`` where it has one.

    Args:
        config: checked; of one of our own methods.
        key: dotted, or that of a choice.
    """
    if key.startswith("views.policies."):
        return _of_views(config, key)
    for name, (idle, reason) in _RULES.items():
        if (key == name or key.startswith(f"{name}.")) and idle(config):
            return reason
    return None
