"""Keys of the command line that nothing reads, and that so have no effect."""

from collections.abc import Mapping, Sequence
from typing import Any

from contsemi.compose.idle import why_idle
from contsemi.compose.overrides import Override
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.errors import InputError

# Sections and keys that no baseline reads: it has none of our heads, memories and predictors,
# is not saved on the way, and of the images without a label only their number counts. Objective and
# distiller are refused by their names. tests/strategies/baselines/test_reads.py holds it to that.
UNREAD = (
    "batch.classes_per_step",
    "checkpoint",
    "head_activation",
    "head_norm",
    "init",
    "memory",
    "optim.freeze_batch_norm",
    "optim.freeze_directions",
    "predict",
    "predictor",
    "projector",
    "scenario.unlabelled_root",
)
POLICY = "views.policies.labelled"
REMEMBERS = ("agem", "der", "derpp", "er_ace", "icarl", "mir", "replay")  # read memory.exemplars


def refuse_unread(runs: Sequence[tuple[Config, Sequence[Override], Mapping[str, Any]]]) -> None:
    """Refuses keys that would do nothing.

    In a sweep a key has to be read by one of its runs.

    Args:
        runs: of a command: the configuration, the overrides that made it, and the values of the
            chosen files.

    Raises:
        InputError: keys are given that no run reads; one line names them and why.
    """
    unread = [
        [each.key for each in given if _changes(each, before) and not _reads(config, each)]
        for config, given, before in runs
    ]
    for keys, (config, _, _) in zip(unread, runs, strict=True):
        idle = [key for key in keys if all(key in others for others in unread)]
        if idle and config.is_baseline:
            raise _by_baseline(config, idle)
        if idle:
            why, fix = why_idle(config, idle[0]) or ("", "leave it out")
            raise InputError(idle[0], f"has no effect, as {why}", fix)


def _by_baseline(config: Config, idle: Sequence[str]) -> InputError:
    baseline = config.baseline["name"]
    them = "it" if len(idle) == 1 else "them"
    problem = f"baseline={baseline} does not read {them}"
    beside = ", memory.exemplars" if baseline in REMEMBERS else ""
    shown = ", ".join(f"{name}.*" for name in ("scenario", "data", "model", "optim", "batch"))
    fix = f"leave {them} out: the baseline reads {shown}, baseline.*{beside} and {POLICY}.*"
    return InputError(", ".join(idle), problem, fix)


def _changes(override: Override, before: Mapping[str, Any]) -> bool:
    """Whether a key gets another value than it has without the word; a file is always chosen."""
    value = at(before, override.key)
    return isinstance(value, Mapping) or bool(value != override.value)


def _reads(config: Config, override: Override) -> bool:
    name, key = config.baseline["name"], override.key
    if why_idle(config, key) is not None:
        return False
    if name == "none":
        return True
    if key == "memory.exemplars":
        return name in REMEMBERS
    if key == "scenario.unlabelled":
        return bool(override.value != "folder")  # the number of images, which decides on the steps
    if key.startswith("views.policies."):
        return key.startswith(f"{POLICY}.")
    return not any(key == each or key.startswith(f"{each}.") for each in UNREAD)
