import ast
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]


def _call(*command: str, cwd: Path = ROOT) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


LINT = ("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache")


def test_rooms_import_downwards_only() -> None:
    code, said = _call(*LINT)
    assert code == 0, said


@pytest.mark.parametrize(
    ("file", "text", "contract"),
    [
        ("losses/planted.py", "from contsemi.models import ema", "rooms"),
        ("losses/planted.py", "import contsemi.data", "rooms"),
        ("report/planted.py", "import contsemi.learner", "reads records"),
        ("learner/planted.py", "import avalanche", "avalanche"),
        ("learner/planted.py", "import omegaconf", "hydra"),
        ("memory/planted.py", "def f():\n    import faiss", "faiss"),
        ("labels/planted.py", "import torch", "torch"),
        ("unheard_of.py", "", "rooms"),
    ],
)
@pytest.mark.quick(2)
def test_a_planted_import_against_the_rules_is_found(
    tmp_path: Path, file: str, text: str, contract: str
) -> None:
    shutil.copytree(ROOT / "contsemi", tmp_path / "contsemi")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "contsemi" / file
    planted.write_text(text)
    code, said = _call(*LINT, cwd=tmp_path)
    broken = [line for line in said.splitlines() if " BROKEN" in line]
    assert code == 1, said
    assert any(contract in line for line in broken), said


def test_every_room_is_a_package() -> None:
    """Import-linter and the wheel's users see nothing of a folder without ``__init__.py``."""
    rooms = {file.parent for file in (ROOT / "contsemi").rglob("*.py")}
    assert [str(room) for room in rooms if not (room / "__init__.py").is_file()] == []


def test_style() -> None:
    code, said = _call("-m", "ruff", "check", "--no-cache", "contsemi", "tests")
    assert code == 0, said
    code, said = _call("-m", "ruff", "format", "--no-cache", "--check", "contsemi", "tests")
    assert code == 0, said


@pytest.mark.thorough
def test_types() -> None:
    code, said = _call("-m", "mypy")
    assert code == 0, said


def test_files_stay_short() -> None:
    lengths = {
        file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines())
        for file in (ROOT / "contsemi").rglob("*.py")
    }
    assert {file: n for file, n in lengths.items() if n > 400} == {}
    assert sorted(lengths.values())[len(lengths) // 2] < 120
    assert not list((ROOT / "contsemi").rglob("utils.py"))


def _long_functions(source: str, most: int = 60) -> dict[str, int]:
    """Name -> lines of every function that has more than ``most``, docstring and all."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, functions)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in found}
    return {name: n for name, n in lengths.items() if n > most}


def test_functions_stay_short() -> None:
    assert _long_functions("def f():\n" + "    x = 1\n" * 60) == {"f": 61}
    found = {
        file.relative_to(ROOT): long
        for file in (ROOT / "contsemi").rglob("*.py")
        if (long := _long_functions(file.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_what_stands_loose_in_the_package() -> None:
    """Everything else is in a room; ``config`` and ``types`` have become rooms."""
    loose = {each.name for each in (ROOT / "contsemi").iterdir() if each.is_file()}
    known = {"run.py", "errors.py", "seeding.py", "discovery.py"}
    assert loose == known | {"__init__.py", "py.typed"}


def _circle(package: str) -> list[str]:
    """Modules that import each other in a ring, those for annotations alone counted; or nothing.

    That a module imports itself, as the command does for the processes that it starts, is no ring.
    """
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        graphlib.TopologicalSorter({name: of - {name} for name, of in imports.items()}).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_in_a_circle() -> None:
    assert _circle("contsemi") == []


def test_a_planted_circle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ringed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("import ringed.two\n")
    (package / "two.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from ringed.one import A\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert set(_circle("ringed")) == {"ringed.one", "ringed.two"}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("main(['--help'])", {"torch", "numpy", "hydra", "avalanche", "faiss", "matplotlib"}),
        ("main(['--version'])", {"torch", "numpy", "hydra", "avalanche", "faiss", "matplotlib"}),
        ("main(['label_ratoi=5%'])", {"torch", "avalanche", "faiss", "matplotlib", "sklearn"}),
        ("main(['seed=-1'])", {"torch", "avalanche", "faiss", "matplotlib", "sklearn"}),
        ("main(['--cfg', 'job'])", {"torch", "avalanche", "faiss", "matplotlib", "scipy"}),
        ("import contsemi.labels", {"torch", "avalanche", "faiss", "hydra"}),
        ("import contsemi.metrics", {"torch", "avalanche", "faiss", "hydra"}),
        ("import contsemi.report", {"torch", "avalanche", "faiss", "hydra"}),
        ("import contsemi.memory", {"faiss"}),
    ],
)
@pytest.mark.quick(5)
def test_what_answers_at_once_loads_nothing_heavy(statement: str, absent: set[str]) -> None:
    program = f"import sys\nfrom contsemi.run import main\n{statement}\nprint('|', *sys.modules)"
    code, said = _call("-c", program)
    assert code == 0, said
    assert not absent & set(said.rpartition("|")[2].split())
