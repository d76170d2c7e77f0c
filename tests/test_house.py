import shutil
import subprocess
import sys
from pathlib import Path

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
def test_what_answers_at_once_loads_nothing_heavy(statement: str, absent: set[str]) -> None:
    program = f"import sys\nfrom contsemi.run import main\n{statement}\nprint('|', *sys.modules)"
    code, said = _call("-c", program)
    assert code == 0, said
    assert not absent & set(said.rpartition("|")[2].split())
