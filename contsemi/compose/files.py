"""YAML files by group and name: found, read within limits, and what a part says of its keys.

A file is data of bounded size: no tags that make objects, no references to environment variables,
no aliases that grow without end. What is wrong with one is said with its name.
"""

import io
import re
import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from contsemi.compose import resources, suggest
from contsemi.discovery import ROOMS, TOGETHER
from contsemi.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][\w -]*", re.ASCII)  # of a choice
LARGEST = 1 << 20  # bytes of a file
MOST_VALUES, DEEPEST = 100_000, 50  # in a file, aliases written out
FIX = "mend the file"


def groups() -> dict[str, list[Path]]:
    """The folders of each group, as dotted keys: ``objective``, ``memory.selection``, ..."""
    return _groups(resources.folders(), resources.scenarios())


@lru_cache(maxsize=10)
def _groups(folders: tuple[Path, ...], scenarios: Path) -> dict[str, list[Path]]:
    found = {"scenario": [scenarios]}
    for conf in folders:
        for folder in sorted(each for each in conf.rglob("*") if each.is_dir()):
            if any(folder.glob("*.yaml")):
                key = ".".join(folder.relative_to(conf).parts)
                found.setdefault(key, []).append(folder)
    return dict(sorted(found.items()))


# Experiments that a command named by their paths, by the name that they have for Hydra.
_by_path: dict[str, Path] = {}


def adopt(file: Path) -> str:
    """Takes an experiment file that lies elsewhere among the experiments; its name there.

    Raises:
        InputError: there is no such file, or an experiment of ours has its name.
    """
    name, where = file.stem, suggest.path(str(file))
    if not file.is_file():
        raise InputError("experiment", f"no such file: {where}", "give its path, or a name")
    if not NAME.fullmatch(name) or _find("experiment", name) is not None:
        problem = f"{where} has a name that an experiment of ours has, or cannot have"
        raise InputError("experiment", problem, "rename it: letters, digits, _ and - make a name")
    _by_path[name] = file.resolve()
    return name


def names(group: str) -> list[str]:
    """The names that a group offers; a file of another name cannot be chosen."""
    folders = groups().get(group, [])
    stems = {file.stem for folder in folders for file in folder.glob("*.yaml")}
    return sorted(filter(NAME.fullmatch, stems))


def named(group: str, name: str) -> list[str]:
    """The files that a choice stands for: more than one where ``a+b`` has parts work together."""
    return name.split("+") if group in TOGETHER else [name]


def find(group: str, name: str) -> Path | None:
    """The file of a choice; ours where several packages have one of that name."""
    file = _find(group, name)
    return _by_path.get(name) if file is None and group == "experiment" else file


def _find(group: str, name: str) -> Path | None:
    files = (folder / f"{name}.yaml" for folder in groups().get(group, []))
    return next((file for file in files if file.is_file()), None)


def shown(file: Path) -> str:
    """A file as users know it: ``conf/objective/suave.yaml``, or its whole path elsewhere."""
    ours = resources.conf().parent
    return str(file.relative_to(ours)) if file.is_relative_to(ours) else suggest.path(str(file))


def read(file: Path) -> dict[str, Any]:
    """The content of a YAML file, references to other keys as they stand.

    Raises:
        InputError: it cannot be read, is too large, or is not ``key: value``.
    """
    try:
        state = file.stat()
    except OSError as error:
        raise InputError(shown(file), f"cannot be read ({error.strerror})", FIX) from None
    return _read(file, state.st_mtime_ns, state.st_size, stat.S_ISREG(state.st_mode))


@lru_cache(maxsize=1000)
def _read(file: Path, _: int, size: int, regular: bool) -> dict[str, Any]:
    from omegaconf import OmegaConf

    where = shown(file)
    if not regular:
        raise InputError(where, "is not a regular file", "remove it")
    if size > LARGEST:
        raise InputError(where, f"has {size} bytes, a configuration has at most {LARGEST}", FIX)
    try:
        text = file.read_text("utf-8-sig")
        _refuse_bomb(text)
        loaded: Any = OmegaConf.load(io.StringIO(text)) if text.strip() else {}
        content: Any = OmegaConf.to_container(loaded, resolve=False) if loaded else {}
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8"
        raise InputError(where, problem, "save it as UTF-8") from None
    except OSError as error:
        reason = error.strerror or "it holds a single word"  # OmegaConf's own for `hello`
        problem = f"cannot be read ({reason})" if error.strerror else "expected key: value"
        raise InputError(where, problem, FIX) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()][:4]
        reason = re.sub(r'in "<[^"]*>", ', "", "; ".join(lines)) or type(error).__name__
        raise InputError(where, reason, FIX) from None
    except Exception as error:  # OmegaConf's, of what is no configuration
        raise InputError(where, str(error).splitlines()[0], FIX) from None
    if not isinstance(content, dict):
        raise InputError(where, "expected key: value", FIX)
    _refuse_code(content, where)
    return content


def _refuse_bomb(text: str) -> None:
    """Raises where aliases written out would be too much, or contain themselves."""
    root = yaml.compose(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} deep, or contains itself")
        if id(node) not in sizes:
            inner = node.value if isinstance(node.value, list) else []
            flat = [x for each in inner for x in (each if isinstance(each, tuple) else (each,))]
            sizes[id(node)] = 1 + sum(size(each, depth + 1) for each in flat)
        if sizes[id(node)] > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES} values, aliases written out")
        return sizes[id(node)]

    if root is not None:
        if not isinstance(root, yaml.MappingNode):
            raise ValueError("expected key: value")
        size(root, 0)


def _refuse_code(node: Any, where: str, path: str = "") -> None:
    """Configuration is data: it names no callable and reads no environment variable."""
    items: Any = ()
    if isinstance(node, Mapping):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    elif isinstance(node, str) and "${" in node and ":" in node.partition("${")[2]:
        problem = f"resolvers such as {suggest.shown(node)} are not supported"
        raise InputError(f"{where}: {path}", problem, "write the value")
    for key, value in items:
        inner = f"{path}.{key}".lstrip(".")
        if str(key).startswith("_") and str(key).endswith("_"):
            raise InputError(f"{where}: {inner}", "is not supported", "remove it")
        _refuse_code(value, where, inner)


def declared(group: str, name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What the file of a part says: its keys with their values, their ranges, and its own name.

    Args:
        group: of :data:`~contsemi.discovery.ROOMS`.
        name: of a choice that exists. Of parts that work together each has its own keys under its
            name.

    Raises:
        InputError: the file is at fault.
    """
    if len(several := named(group, name)) > 1:
        parts = {each: declared(group, each) for each in several}
        own = {each: _without_name(values) for each, (values, _, _) in parts.items()}
        ranges = {each: inner for each, (_, inner, _) in parts.items()}
        return {"name": name, **own}, ranges, f"conf/{group}"
    file = find(group, name)
    if file is None:
        raise InputError(group, f"there is no conf/{group}/{name}.yaml", "choose another")
    values = dict(read(file))
    ranges = values.pop("ranges", {})
    where = shown(file)
    if values.get("name") != name:
        raise InputError(f"{where}: name", f"has to be {name}, as the file is called", FIX)
    if not isinstance(ranges, dict):
        problem = "expected a range for each key: {temperature: [0.001, 10]}"
        raise InputError(f"{where}: ranges", problem, FIX)
    return values, ranges, where


def _without_name(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "name"}


def keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of a nested mapping, with its value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def holding(key: str, chosen: Mapping[str, str]) -> str | None:
    """The file among those chosen that sets a key.

    Args:
        key: dotted.
        chosen: group -> name, those that win last.
    """
    for group, name in reversed(list(chosen.items())):
        several = named(group, name)
        own = f"{group}." if group in ROOMS or group in ("data", "views", "optim") else ""
        for each in several:
            if (file := find(group, each)) is None:
                continue
            inner = f"{own}{each}." if len(several) > 1 else own
            full = [f"{inner}{k}" for k, _ in keys(read(file))]
            if any(key == k or k.startswith(f"{key}.") for k in full):
                return shown(file)
    return None
