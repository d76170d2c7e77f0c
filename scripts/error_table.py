"""Every error text with exit code, cause and fix, read off the source: ``docs/errors.md``.

python scripts/error_table.py > docs/errors.md
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODES = {
    "InputError": 2,
    "PackageMissing": 2,
    "SeveralValues": 2,
    "Diverged": 3,
    "StateDamaged": 4,
    "StorageFailed": 5,
    "OutOfDeviceMemory": 6,
    "RankLost": 7,
    "MethodFailed": 8,
    "Interrupted": 128,
}
TITLES = {
    2: "2: something that was given is wrong; nothing is written",
    3: "3: training diverged",
    4: "4: a saved state is damaged; nothing is deleted",
    5: "5: a file cannot be written; the last saved state stays",
    6: "6: the accelerator has too little memory",
    7: "7: another process of the same run is gone",
    8: "8: the code of a method, or of another part chosen by name, is at fault",
    128: "128 and the signal (130, 143, 129, 138): it ended the run; the same command goes on",
}
INTRODUCTION = """# Errors

Every error is one line, `error: <key or file>: <what is wrong>; <fix>`, and an exit code. 0 is a
run that came to its end, 1 a bug of contsemi, 141 a reader of the output that went away. What
stands in `<...>` is filled in. The tables are read off the source by `scripts/error_table.py`; a
test fails where they are behind it.
"""

Values = Mapping[str, ast.expr]


def _words(node: ast.expr, values: Values, depth: int = 0) -> str:
    """The text that an expression makes, with ``<...>`` for what is known only then."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, values, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        if isinstance(node.value, ast.Name) and node.value.id in values and depth < 5:
            return _words(values[node.value.id], values, depth + 1)
        return f"<{_named(node.value)}>"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, values, depth) + _words(node.right, values, depth)
    if isinstance(node, ast.IfExp):
        return f"{_words(node.body, values, depth)} / {_words(node.orelse, values, depth)}"
    if isinstance(node, ast.Name) and node.id in values and depth < 5:
        return _words(values[node.id], values, depth + 1)
    return f"<{_named(node)}>"


def _named(node: ast.expr) -> str:
    """A short name of a value."""
    text = ast.unparse(node)
    plain = re.sub(r"^[\w.]+\(([\w.]+)\)$", r"\1", text).removeprefix("self.")
    return plain if len(plain) <= 24 and "|" not in plain else "..."


def _assigned(nodes: Iterator[ast.AST]) -> dict[str, ast.expr]:
    """Name -> text, for the names that are given one."""
    found: dict[str, ast.expr] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                found |= {
                    name.id: value
                    for name, value in pairs
                    if isinstance(name, ast.Name)
                    and isinstance(value, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp)
                }
    return found


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _helpers(tree: ast.Module) -> dict[str, tuple[ast.FunctionDef, ast.Call]]:
    """Functions that return an error made of what they are given."""
    return {
        node.name: (node, last.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and isinstance(last := node.body[-1], ast.Return)
        and isinstance(last.value, ast.Call)
        and _called(last.value) in CODES
    }


def _bound(function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
    """Parameter -> what a call gives for it, or its default."""
    names = [each.arg for each in function.args.args if each.arg != "self"]
    defaults = function.args.defaults
    found = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    found |= dict(zip(names, call.args, strict=False))
    return found | {each.arg: each.value for each in call.keywords if each.arg}


def _line(error: ast.Call, values: Values) -> str:
    given = [_words(each, values) for each in (*error.args, *(k.value for k in error.keywords))]
    text = f"{given[0]}: {'; '.join(given[1:])}" if CODES[_called(error)] == 2 else given[0]
    if _called(error) == "Interrupted":
        text = "stopped by signal <signal_number>; the same command <goes on>"
    return " ".join(text.split())


def errors(text: str) -> Iterator[tuple[int, str]]:
    """(exit code, line) of every error that a source can end with."""
    tree = ast.parse(text)
    top = _assigned(iter(tree.body))
    called = {_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    # What is called in other files alone stands for itself.
    helpers = {name: helper for name, helper in _helpers(tree).items() if name in called}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        assignments = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        assignments.sort(key=lambda node: node.lineno)
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = _called(node)
            # of a name that is given several texts the last one above the call
            above = (each for each in assignments if each.lineno < node.lineno)
            values = top | _assigned(above)
            if name in CODES and function.name not in helpers:
                yield CODES[name], _line(node, values)
            elif name in helpers:
                helper, error = helpers[name]
                bound = values | _assigned(ast.walk(helper)) | _bound(helper, node)
                yield CODES[_called(error)], _line(error, bound)


def page() -> str:
    """The whole page."""
    found: dict[int, set[tuple[str, str, str]]] = {code: set() for code in TITLES}
    for file in sorted((ROOT / "contsemi").rglob("*.py")):
        place = file.relative_to(ROOT / "contsemi").as_posix()
        for code, line in errors(file.read_text(encoding="utf-8")):
            what, _, fix = line.partition("; ")
            found[code].add((place, what, fix))
    parts = [INTRODUCTION]
    for code, rows in found.items():
        lines = [
            f"| {_cell(what)} | {_cell(fix)} | `{place}` |" for place, what, fix in sorted(rows)
        ]
        head = "| what is wrong | what to do | source |\n|---|---|---|"
        parts.append(f"## {TITLES[code]}\n\n{head}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") or "see the message"


if __name__ == "__main__":
    print(page(), end="")
