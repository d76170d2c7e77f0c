"""From ``key=value`` words to typed values, one list of them per run, by Hydra's grammar."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contsemi.compose import files, groups, schema, suggest
from contsemi.compose.argv import Token
from contsemi.discovery import ROOMS, SEVERAL, TOGETHER, offered, together
from contsemi.errors import InputError, SeveralValues, article

# More is surely a slip, such as range(0,1e9).
MOST_RUNS = 1_000


@dataclass(frozen=True)
class Override:
    """One key with the value it gets in one run.

    Attributes:
        key: dotted key, or the name of a group.
        value: the value; for a group, the name of the choice.
        word: the same for Hydra, quoted where its grammar needs it.
    """

    key: str
    value: Any
    word: str


def combinations(
    tokens: Sequence[Token], known: Mapping[str, Sequence[str]], multirun: bool
) -> list[list[Override]]:
    """The overrides of every run: the product of all values that are several.

    Args:
        tokens: the words of the command line.
        known: the choices of each group.
        multirun: whether a value may be several.

    Raises:
        InputError: a value cannot be read, is several without ``multirun``, or a key is given
            twice.
    """
    _refuse_twice(tokens)
    alternatives: list[list[Override]] = []
    total = 1
    for token in tokens:
        choices = known.get(token.key)
        found = [
            _group(token, one, choices) if choices is not None else _value(token.key, one)
            for one in _alternatives(token, choices, multirun)
        ]
        total *= len(found)
        if not 1 <= total <= MOST_RUNS:
            raise InputError(token.key, f"a sweep of {total} runs", f"ask for 1 to {MOST_RUNS}")
        alternatives.append(found)
    return [list(run) for run in itertools.product(*alternatives)]


def _refuse_twice(tokens: Sequence[Token]) -> None:
    first: dict[str, Token] = {}
    for token in tokens:
        if before := first.get(token.key):
            texts = [suggest.shown(each.text).strip("'") for each in (before, token)]
            problem = f"is given twice ({texts[0]} and {texts[1]})"
            raise InputError(suggest.bare(token.key), problem, "leave one out")
        first[token.key] = token


def _alternatives(token: Token, choices: Sequence[str] | None, multirun: bool) -> list[str]:
    """The texts of the values of one word; more than one only in a sweep."""
    free = schema.is_path(token.key) and choices is None
    if free and (not multirun or "," not in token.text or _quoted(token.text)):
        return [token.text]
    parsed = _parse(token)
    if parsed is None or not parsed.is_sweep_override():
        return [token.text]  # a list of parts is one value
    if not multirun:
        raise _several(token)
    value = parsed._value
    if type(value).__name__ == "Glob":
        names = value.filter(list(choices or ()))
        if not names:
            raise InputError(
                token.key, f"nothing matches {suggest.shown(token.text)}", "list names"
            )
        return list(names)
    if parsed.is_interval_sweep():
        raise InputError(token.key, "an interval has no end of values", "list them, or use range()")
    try:
        return [str(s) for s in itertools.islice(parsed.sweep_string_iterator(), MOST_RUNS + 1)]
    except (ValueError, ArithmeticError) as error:
        raise InputError(
            token.key, f"a sweep that cannot be made: {error}", "list the values"
        ) from None


def _several(token: Token) -> SeveralValues:
    decimal = re.fullmatch(r"(-?\d+),(\d+)(%?)", token.text)
    if decimal and not schema.is_whole(token.key):
        point = f"{decimal[1]}.{decimal[2]}{decimal[3]}"
        return SeveralValues(
            token.key,
            f"{token.text} is two values",
            f"add --multirun to sweep, or use a point: {token.key}={point}",
            f"use a point: {token.key}={point}",
        )
    problem, fix = f"several values: {suggest.shown(token.text)}", "add --multirun to sweep"
    if token.key in TOGETHER:
        together = f"write {token.key}=[{token.text}] for all at once"
        return SeveralValues(token.key, problem, f"{fix}, or {together}", together)
    return SeveralValues(token.key, problem, fix)


def _quoted(text: str) -> bool:
    return len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]


def _parse(token: Token) -> Any:
    """Hydra's reading of a word; ``None`` where its grammar does not know the characters."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    text = token.text
    if text[0] in "'\"" and not _quoted(text):
        raise InputError(token.key, f"quote not closed in {suggest.shown(text)}", "close it")
    try:
        return OverridesParser.create().parse_override(f"{token.key}={text}")
    except HydraException:
        if text[0] in "[{('\"" or text[-1] in "]})'\"":
            raise InputError(
                token.key,
                f"cannot read {suggest.shown(text)}",
                "close every bracket and quote, and quote names of unusual characters",
            ) from None
        return None
    except (ValueError, RecursionError):
        raise InputError(token.key, f"cannot read {suggest.shown(text)}", "write less") from None


def _group(token: Token, text: str, choices: Sequence[str] | None) -> Override:
    key, known = token.key, choices or ()
    if key in SEVERAL:
        names = _part_names(token, text, known)
        return Override(key, names, f"{groups.path(key)}=[{','.join(names)}]")
    if key in TOGETHER and (text.startswith("[") or "+" in text):
        return _working_together(token, text, known)
    name = text[1:-1] if _quoted(text) else text
    if name == "null" and key == "experiment":
        return Override(key, None, f"~{key}")
    if name == "null":
        raise InputError(key, "is required", suggest.did_you_mean(None, known))
    if key == "experiment" and name.endswith(".yaml"):
        name = files.adopt(Path(name).expanduser())
    else:
        _refuse_unknown(key, name, known)
    return Override(key, name, f"{groups.path(key)}={name}")


def _refuse_unknown(key: str, name: str, known: Sequence[str]) -> None:
    """Refuses a name that no file has.

    Raises:
        InputError: with the nearest name, or what is missing where a package offers that name.
    """
    if not files.NAME.fullmatch(name):
        problem = f"{suggest.shown(name)} is not {article(key)} name"
        if files.find(key, name) is not None:
            fix = f"rename {name}.yaml: letters, digits, _ and - make a name"
            raise InputError(key, problem, fix)
        raise InputError(key, problem, suggest.did_you_mean(None, known))
    if name in known:
        return
    if (module := offered(ROOMS.get(key, "")).get(name)) is not None:
        package = module.partition(".")[0]
        problem = f"package {package} offers {name!r}, but has no conf/{key}/{name}.yaml"
        raise InputError(key, problem, f"add {package}/conf/{groups.path(key)}/{name}.yaml")
    near = suggest.name(name, known)
    problem = f"unknown {key} {suggest.shown(name)}"
    raise InputError(key, problem, suggest.did_you_mean(near and f"{key}={near}", known))


def _working_together(token: Token, text: str, known: Sequence[str]) -> Override:
    """Parts that work together: ``[nnd,projected]``, or as records have it, ``nnd+projected``."""
    key = token.key
    names = _part_names(token, text if text.startswith("[") else text.split("+"), known)
    if not names:
        raise InputError(key, "names nothing", f"write {key}=none")
    if "none" in names and len(names) > 1:
        rest = [name for name in names if name != "none"]
        fix = f"write {key}=none, or {key}=[{','.join(rest)}]"
        raise InputError(key, "none goes with no other", fix)
    name = together(names)
    return Override(key, name, f"{groups.path(key)}={name}")


def _part_names(token: Token, given: str | list[str], known: Sequence[str]) -> list[str]:
    """A list of names: ``[knn,linear]``, or one of them alone."""
    parsed = _parse(Token(token.key, given)) if isinstance(given, str) else None
    value = _plain(parsed.value()) if parsed is not None else given
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problem = f"expected a list of names, got {suggest.shown(value)}"
        raise InputError(token.key, problem, f"for example {token.key}=[{','.join(known[:2])}]")
    for name in names:
        _refuse_unknown(token.key, name, known)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(token.key, f"names {twice[0]} twice", "leave one out")
    return names


def _value(key: str, text: str) -> Override:
    if not schema.is_path(key):
        parsed = _parse(Token(key, text))
        if parsed is not None:
            return Override(key, _plain(parsed.value()), f"{key}={text}")
    elif text == "null":
        return Override(key, None, f"{key}=null")
    text = text[1:-1] if _quoted(text) else text
    return Override(key, text, f"{key}={groups.quoted(text)}")


def _plain(value: Any) -> Any:
    """Hydra's quoted strings inside lists and dicts, as plain text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value
