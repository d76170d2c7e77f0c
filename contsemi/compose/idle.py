"""Keys that another key makes void, as far as that is known before a network is made."""

from operator import attrgetter

from contsemi.config import Config

_NO_ROWS = "memory.embeddings=0 keeps no rows", "set memory.embeddings above 0"
_NO_IMAGES = "memory.exemplars=0 keeps no images", "set memory.exemplars above 0"
_NO_DECAY = "nothing is decayed", "set optim.weight_decay"
_NO_BACKGROUND = (
    "no policy changes backgrounds",
    "set views.policies.large.background=remove, random or swap, or leave it out",
)

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
    "rand_augment.operations": "rand_augment.probability",
}
_STRENGTHS = ("brightness", "contrast", "saturation", "hue")  # of jitter


def _rules(config: Config) -> dict[str, tuple[bool, str, str]]:
    """A key, or its section -> whether it has no effect, why, and what to do about it.

    Keys that say where and how fast a run goes, such as data.cache, are taken everywhere.
    """
    memory, optim, asked, scenario = config.memory, config.optim, config.evaluate, config.scenario
    looks = asked.every_steps, asked.every_epochs, asked.probes, asked.discovery != "none"
    dealt = scenario.recurrence is not None or scenario.lists is not None
    ordered = scenario.class_order == "shuffled" or dealt or scenario.novel or scenario.blur
    decays = optim.name == "lars" or optim.weight_decay or optim.final_weight_decay
    plain = all(crop.background == "none" for crop in config.views.policies.values())
    adamw, dataset = optim.name == "adamw", scenario.dataset
    at_end = "tasks are evaluated at their end, by all images", "set evaluate.every_epochs=1"
    no_probe = "evaluate.probes=[] asks nothing", "name some, as evaluate.probes=[knn]"
    no_warmup = "optim.warmup=0 warms nothing up", "set optim.warmup above 0"
    own_moments = "optim.name=adamw has moments of its own", "set optim.name=sgd"
    return {
        "memory.selection": (not memory.exemplars, *_NO_IMAGES),
        "memory.pseudo_labels": (not memory.exemplars, *_NO_IMAGES),
        "memory.drift": (not memory.embeddings, *_NO_ROWS),
        "memory.top_labels": (not memory.embeddings, *_NO_ROWS),
        "memory.code_bytes": (
            memory.index != "pq",
            "memory.index keeps no codes",
            "set memory.index=pq",
        ),
        "optim.momentum": (adamw, *own_moments),
        "optim.nesterov": (adamw, "optim.name=adamw does not look ahead", "set optim.name=sgd"),
        "views.masks": (plain, *_NO_BACKGROUND),
        "optim.adapt_vectors": (not decays, *_NO_DECAY),
        "optim.adapt_shortcut_norms": (not decays, *_NO_DECAY),
        "optim.start_lr": (not optim.warmup, *no_warmup),
        "optim.clip_by": (not optim.clip, "optim.clip=0 clips nothing", "set optim.clip above 0"),
        "evaluate.images": (not any(looks), *at_end),
        "evaluate.probe_images": (not asked.probes, *no_probe),
        "scenario.order_seed": (
            not ordered,
            "no order is drawn",
            "set scenario.class_order=shuffled",
        ),
        "init.projector": (
            config.init.weights is None,
            "init.weights names no file",
            "set init.weights",
        ),
        "data.test_share": (dataset != "folder", "this data set has test images", "leave it out"),
        "data.download": (dataset == "digits", "the digits are bundled", "leave it out"),
    }


def _of_views(config: Config, key: str) -> tuple[str, str] | None:
    name, _, rest = key.removeprefix("views.policies.").partition(".")
    switch = _OF_VIEWS.get(rest)
    if name not in config.views.policies:
        return None
    jitter = config.views.policies[name].jitter
    if rest == "jitter.probability" and not any(getattr(jitter, each) for each in _STRENGTHS):
        jitters = f"views.policies.{name}.jitter"
        return f"{jitters}.brightness=0 and its like change nothing", f"set {jitters}.brightness"
    if switch is None:
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
    for name, (idle, why, fix) in _rules(config).items():
        if idle and (key == name or key.startswith(f"{name}.")):
            return why, fix
    return None
