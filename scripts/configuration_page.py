"""Writes docs/configuration.md: every key of a run, from the schema, the YAML files and the code.

A key of a method is described where the method is: by the comment beside the dataclass's field, or
by the docstring's ``Args``. No code of a method is imported; its text is read.

    python scripts/configuration_page.py
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from contsemi.compose import files, groups, parts, schema
from contsemi.discovery import ROOMS, SEVERAL

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "configuration.md"
HEAD = """\
# Every key

Made by `python scripts/configuration_page.py` from the schema ([config/](../contsemi/config)),
the files under [conf/](../conf) and the methods' own comments; a test holds it to them.

`key=value` on the command line wins over everything; `python -m contsemi.run --cfg job ...` prints
all values of a run and starts nothing. Defaults below are those of `python -m contsemi.run`
without an argument; a `scenario=`, `method=` or `experiment=` brings its own."""
OWNED = """
# Keys of methods and models

They belong to the YAML file that is chosen, which declares them: the type is that of the default
there, the range stands there under `ranges`. Every file has `name`, which chooses it. An entry of
`weights` is what the term of that name counts for in the loss. Of `evaluate.probes` and
`views.drawn` any number may be chosen: `evaluate.probes=[knn,linear]
evaluate.probes.knn.within=5`. Distillers work together as `distiller=[nnd,projected]`: the keys of
each have its name in them (`distiller.nnd.temperature=0.2`,
`distiller.projected.weights.projected=0.5`), as have their terms in the records
(`nnd.distillation`, `projected.projected`)."""


def page() -> str:
    """The whole page."""
    defaults = _defaults()
    text = [HEAD, *_schema(defaults), OWNED]
    for group, room in ROOMS.items():
        names = files.names(group)
        if names:
            text.append(f"\n## `{group}=`")
        for name in names:
            text += _method(group, room.replace(".", "/"), name)
    text.append(_choices())
    return "\n".join(text)


def _defaults() -> Mapping[str, Any]:
    from omegaconf import OmegaConf

    found: Any = OmegaConf.to_container(groups.compose([]), resolve=False)
    return found


def _schema(defaults: Mapping[str, Any]) -> Iterator[str]:
    """The tables of all keys that the schema knows: top level first, then the sections."""
    tables: dict[str, list[str]] = {"": []}
    heads = {"": "what one run is"}
    for key, field, section in schema.fields():
        if section:
            tables[key], heads[key] = [], str(field.description)
            continue
        parent = key.rpartition(".")[0]
        value: Any = defaults
        for part in key.split("."):
            value = value["large"] if part == "NAME" else value[part]
        expected = schema.expected(field).replace(f"{field.description}", "text")
        if key == "label_ratio":
            expected = "a share, a count or a list of them"
        if key in ROOMS:
            value, expected = value.get("name", list(value)), "a file"
            expected = "a list of files" if isinstance(value, list) else expected
        tables[parent].append(_row(key, expected, value, str(field.description)))
    for section, rows in tables.items():
        if rows:
            name = f"`{section}.`" if section else "A run"
            yield f"\n## {name}: {heads[section]}\n"
            yield from _table(rows)


def _method(group: str, room: str, name: str) -> Iterator[str]:
    """One file under conf/: what it is, its own remarks and its keys."""
    file = ROOT / "conf" / group.replace(".", "/") / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    source = ROOT / "contsemi" / room / f"{name}.py"
    meanings: dict[str, str] = {}
    about = ""
    if source.exists():
        trees = [ast.parse(source.read_text(encoding="utf-8"))]
        about = (ast.get_docstring(trees[0]) or "").partition("\n\n")[0].replace("\n", " ")
        shared = ROOT / "contsemi" / room / f"{group.rpartition('.')[2]}.py"
        for one in (shared, *_bases(trees[0]), source):
            if one.exists():
                meanings |= meanings_in(one.read_text(encoding="utf-8"))
    yield f"\n### `{group}={name}`\n"
    remarks = " ".join(re.findall(r"(?m)^# ?(.*)$", text))
    yield "\n".join(part for part in (about, remarks) if part) or "Nothing."
    beside = dict(re.findall(r"(?m)^(\w+): .*?\S +# (.*)$", text))
    prefix = f"{group}.{name}" if group in SEVERAL else group
    rows = []
    for key, value in files.keys(files.declared(group, name)[0]):
        if key == "name":
            continue
        first, _, rest = key.partition(".")
        meaning = meanings.get(first, "")
        if rest:
            meaning = f"weight of the term `{rest}`" + f" ({meaning})" * bool(meaning)
        meaning = sentence(first, meaning, beside.get(first, ""))
        if not meaning:
            raise SystemExit(f"{source}: says nothing of {key}")
        field = schema.field_at(key.split("."), parts.part_schema(group, name))
        assert field is not None
        rows.append(_row(f"{prefix}.{key}", schema.expected(field), value, meaning))
    if rows:
        yield ""
        yield from _table(rows)


def _bases(tree: ast.Module) -> Iterator[Path]:
    """Files of ours from which the classes of a file inherit, those of the bases' bases first."""
    names = {
        name.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        for name in ast.walk(base)
        if isinstance(name, ast.Name)
    }
    for node in tree.body:
        ours = isinstance(node, ast.ImportFrom) and str(node.module).startswith("contsemi.")
        if ours and names & {each.asname or each.name for each in node.names}:
            file = ROOT / f"{node.module.replace('.', '/')}.py"
            if file.exists():
                yield from _bases(ast.parse(file.read_text(encoding="utf-8")))
                yield file


def sentence(key: str, meaning: str, beside: str) -> str:
    """What code and YAML say of a key, read without its name before it."""
    if re.match("(of|at) ", meaning):
        meaning = f"{key.replace('_', ' ')} {meaning}"
    if meaning[:2].istitle():
        meaning = meaning[0].lower() + meaning[1:]
    if beside.startswith(meaning):
        return beside
    return f"{meaning} ({beside})" if beside else meaning


def meanings_in(source: str) -> dict[str, str]:
    """What a file says of the arguments: ``Args`` of docstrings and comments of class fields."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) or (
            isinstance(node, ast.FunctionDef) and node.name == "build"
        ):
            doc = ast.get_docstring(node) or ""
            block = re.search(r"(?ms)^Args:\n(.*?)(?:^\S|\Z)", doc)
            entries = re.split(r"(?m)^    (?=\w+: )", block[1]) if block else []
            for entry in entries[1:]:
                name, _, meaning = entry.partition(": ")
                found[name] = " ".join(meaning.split()).rstrip(".")
        if isinstance(node, ast.ClassDef):
            found |= _fields(node, source.splitlines())
    return found


def _fields(node: ast.ClassDef, lines: list[str]) -> dict[str, str]:
    """Comments beside the fields of a class, or in the lines above them."""
    found = {}
    for field in node.body:
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        words = [lines[field.lineno - 1].partition("  # ")[2]]
        above = field.lineno - 2
        while lines[above].startswith("    # "):
            words.insert(0, lines[above].removeprefix("    # "))
            above -= 1
        if any(words):
            found[field.target.id] = " ".join(word for word in words if word).rstrip(".")
    return found


def _choices() -> str:
    lines = ["\n# Choices of files\n", "| key | files |", "|---|---|"]
    for group, names in groups.choices().items():
        if group not in ROOMS:
            lines.append(f"| `{group}=` | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"


def _table(rows: list[str]) -> Iterator[str]:
    yield "| key | may be | default | meaning |"
    yield "|---|---|---|---|"
    yield from rows


def _row(key: str, expected: str, value: Any, meaning: str) -> str:
    shown = yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0]
    shown = shown if isinstance(value, list | dict) else shown.strip("'")
    meaning = meaning.replace("``", "`").replace("|", "\\|")
    meaning = re.sub(r":(?:class|data|meth):`~?([^`]+)`", r"`\1`", meaning)
    return f"| `{key}` | {expected} | `{shown}` | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
