"""The command line, taken apart: flags and ``key=value``. No file is opened."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from contsemi.compose import groups, schema, suggest
from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.report.words import TURNING

# All of Hydra's own settings that may be given: where the runs of a sweep go.
LAUNCHERS = ("basic", "submitit_local", "submitit_slurm")
LAUNCHER_KEYS = (
    "account",
    "additional_parameters",
    "array_parallelism",
    "constraint",
    "cpus_per_task",
    "gpus_per_node",
    "max_num_timeout",
    "mem_gb",
    "nodes",
    "partition",
    "qos",
    "setup",
    "signal_delay_s",
    "tasks_per_node",
    "timeout_min",
)
_SEARCH = "hydra/sweeper=optuna"
# Most of them are named as by Hydra's own plugin; beside, the tuner's words.
_SEARCH_KEYS = {"n_trials": "--trials", "n_jobs": "--jobs", "rule": "--rule"}
# Values of several words: lines of a shell, and options of sbatch by name.
_SEVERAL = {"setup": ("[", "]"), "additional_parameters": ("{", "}")}
_LONGEST = 20_000  # characters of a value: Hydra's grammar takes a second for so many
_HELP, _VERSION, _CONFIG, _SWEEP = (
    ("--help", "-h"),
    ("--version",),
    ("--cfg", "-c"),
    ("--multirun", "-m"),
)


@dataclass(frozen=True)
class Token:
    """One ``key=value`` as it was written."""

    key: str
    text: str


@dataclass(frozen=True)
class Arguments:
    """What the command line asks for.

    Attributes:
        action: ``run``, ``help``, ``version`` or ``config`` (print the configuration).
        multirun: whether values may be several.
        tokens: the overrides of configuration keys.
        launcher: the overrides of Hydra's launcher, as written.
        sweeper: those of its sweeper; see :func:`search_words`.
    """

    action: str
    multirun: bool
    tokens: tuple[Token, ...]
    launcher: tuple[str, ...] = ()
    sweeper: tuple[str, ...] = ()


def split(argv: Sequence[str]) -> Arguments:
    """Takes the command line apart.

    Args:
        argv: the words after ``python -m contsemi.run``.

    Raises:
        InputError: a word is neither a known flag nor ``key=value``, or it is no list of words.
    """
    listed = isinstance(argv, Sequence) and not isinstance(argv, str)
    if not listed or not all(isinstance(word, str) for word in argv):
        problem = f"expected a list of texts, got {suggest.shown(argv)}"
        raise InputError("words", problem, "write ['seed=1', 'method=nncsl'], for example")
    action, multirun = "run", False
    tokens: list[Token] = []
    launcher: list[str] = []
    sweeper: list[str] = []
    words = iter(argv)
    for word in words:
        if word in _HELP:
            action = "help"
        elif word in _VERSION and action == "run":
            action = "version"
        elif word in _SWEEP:
            multirun = True
        elif word in _CONFIG or word.startswith("--cfg="):
            what = word.partition("=")[2] or next(words, "")
            if what != "job":
                raise InputError(
                    "--cfg", f"expected job, got {suggest.shown(what)}", "write --cfg job"
                )
            action = "config" if action == "run" else action
        elif word.startswith(("hydra/sweeper=", "hydra.sweeper.")):
            sweeper.append(_sweeper(word))
        elif word.lstrip("+~").startswith(("hydra/", "hydra.", "hydra=")):
            launcher.append(_launcher(word))
        else:
            tokens.append(_token(word, next(words, None) if word.startswith("--") else None))
    if (others := [*launcher, *sweeper]) and not multirun:
        raise InputError(others[0], "is for sweeps", "add --multirun")
    if sweeper and (launcher or _SEARCH not in sweeper):
        problem = "a search starts its runs itself" if launcher else f"belongs to {_SEARCH}"
        raise InputError(others[0], problem, "remove it" if launcher else f"add {_SEARCH}")
    return Arguments(action, multirun, tuple(tokens), tuple(launcher), tuple(sweeper))


def search_words(arguments: Arguments) -> list[str]:
    """The words of ``python -m contsemi.tune`` for a sweep by Optuna.

    It goes through the search space of the method's YAML, and never looks at a test image; Hydra's
    own plugin would choose by the number that a run returns, its test accuracy.

    Raises:
        InputError: there is no folder for it.
    """
    own = {"seed": "--seeds", "output": "--output"}
    if all(token.key != "output" for token in arguments.tokens):
        raise InputError("output", f"{_SEARCH} needs a folder", "add output=FOLDER")
    words = [f"{own[x.key]}={x.text}" for x in arguments.tokens if x.key in own]
    for word in arguments.sweeper:
        key, _, value = word.removeprefix("hydra.sweeper.").partition("=")
        words += [f"{_SEARCH_KEYS[key]}={value}"] if key in _SEARCH_KEYS else []
    return words + [f"{x.key}={x.text}" for x in arguments.tokens if x.key not in own]


def _token(word: str, following: str | None) -> Token:
    if word.startswith("-"):
        raise _flag(word, following)
    if word.startswith(("+", "~")):
        bare = word.lstrip("+~")
        raise InputError(
            suggest.bare(word), "keys cannot be added or removed", f"write {_pair(bare)}"
        )
    key, sign, text = word.partition("=")
    key, text = key.strip(), text.strip()
    if not sign:
        raise InputError(suggest.bare(word), "is not key=value", _meant(word))
    if "_target_" in word:
        raise InputError(key, "_target_ is not supported: configuration runs no code", "remove it")
    if not re.fullmatch(r"\w+(\.\w+)*", key, re.ASCII):
        plain = key.replace("-", "_")
        known = plain.partition(".")[0] in Config.model_fields
        fix = f"write {_pair(f'{plain}={text}')}" if known else "write key=value, as in seed=1"
        raise InputError(suggest.bare(key), "is not a key", fix)
    if text.startswith("="):
        raise InputError(key, "has two equals signs", f"write {key}={text.lstrip('= ')}")
    if "${" in text:
        raise InputError(
            key, "${...} is not supported on the command line", "write the value itself"
        )
    if (odd := next((c for c in text if _is_odd(c)), None)) is not None:
        name = unicodedata.name(odd, "a control character")
        raise InputError(key, f"holds U+{ord(odd):04X} ({name})", "remove it")
    if len(text) > _LONGEST:
        problem = f"has {len(text)} characters, a value has at most {_LONGEST}"
        raise InputError(key, problem, "write it into a file of conf/experiment/ or scenarios/")
    if text == "":
        raise InputError(key, "is empty", f"write {_pair(key)}, or leave it out")
    return Token(key, text)


def _is_odd(character: str) -> bool:
    """Whether it ends a line, steers a terminal, turns text round, or is half of one.

    Others that cannot be seen, such as a no-break space, stand in the names of real folders.
    """
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in TURNING


def _pair(text: str) -> str:
    """An example of ``key=value`` made of what was given."""
    key, sign, value = text.partition("=")
    if sign and value:
        return text
    examples = {"label_ratio": "5%", "scenario": "cifar100_10tasks", "method": "contsemi"}
    return f"{key}={examples[key]}" if key in examples else f"{key or 'key'}=value"


def _meant(word: str) -> str:
    """What to write for a word without an equals sign."""
    for group, names in groups.choices().items():
        if word in names:
            return f"write {group}={word}"
    key, colon, value = word.partition(":")
    if colon and key in Config.model_fields:
        return f"write {_pair(f'{key}={value}')}"
    return f"write {_pair(suggest.bare(word) if word.strip() else 'key')}"


def _flag(word: str, following: str | None) -> InputError:
    name, _, value = word.lstrip("-").partition("=")
    key = name.replace("-", "_")
    if not value and following is not None and "=" not in following and following[:1] != "-":
        value = following
    dashed = {path.replace(".", "_"): path for path, _, section in schema.fields() if not section}
    key = dashed.get(key, key)
    if key.partition(".")[0] in Config.model_fields:
        fix = f"write {_pair(f'{key}={value}' if value else key)}, without dashes"
    else:
        known = ["--help", "--version", "--cfg job", "--multirun"]
        near = suggest.name(word, known) if len(name) > 1 else None
        fix = suggest.did_you_mean(near, known)
    return InputError(suggest.bare(word), "is not an option", fix)


def _sweeper(word: str) -> str:
    key, _, value = word.partition("=")
    known = key.removeprefix("hydra.sweeper.") in _SEARCH_KEYS
    if word == _SEARCH or (known and re.fullmatch(r"\w+", value)):
        return word
    fix = f"use {_SEARCH}, or hydra.sweeper. with {', '.join(_SEARCH_KEYS)}"
    raise InputError(suggest.bare(word), "is not supported", fix)


def _launcher(word: str) -> str:
    key, _, value = word.partition("=")
    if key == "hydra/launcher":
        if value in LAUNCHERS:
            return word
        raise InputError(
            key,
            f"unknown launcher {suggest.shown(value)}",
            suggest.did_you_mean(suggest.name(value, LAUNCHERS), LAUNCHERS),
        )
    name = key.removeprefix("hydra.launcher.")
    if key != name and name in LAUNCHER_KEYS and "_target_" not in word:
        if re.fullmatch(r"[\w.:@-]+", value):
            return word
        if name in _SEVERAL:
            begin, end = _SEVERAL[name]
            held = value.startswith(begin) and value.endswith(end) and value.isprintable()
            if held and "$" not in value:
                return word
            example = {"setup": "['module load cuda']", "additional_parameters": "{requeue: true}"}
            problem = f"expected {begin}...{end} without a $, got {suggest.shown(value)}"
            raise InputError(key, problem, f'write "{key}={example[name]}"')
    raise InputError(
        suggest.bare(key),
        "this setting of Hydra is not supported",
        f"use hydra/launcher= or hydra.launcher. with {', '.join(LAUNCHER_KEYS)}",
    )
