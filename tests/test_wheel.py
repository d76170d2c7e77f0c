import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel of this checkout holds, as an installer lays it out."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def _call(installed: Path, cwd: Path, *words: str) -> str:
    # -P and the order of the paths keep this checkout out: only the wheel can answer.
    env = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.thorough
def test_the_wheel_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    command = ("-m", "contsemi.run")
    printed = _call(installed, tmp_path, *command, "--cfg", "job", "scenario=cifar10_5tasks")
    assert "name: cifar10_5tasks" in printed
    assert "cifar10_5tasks" in _call(installed, tmp_path, *command, "--help")
    program = (
        "from contsemi.compose import resources as r; print(r.conf(), r.scenarios(), sep='\\n')"
    )
    folders = [Path(line) for line in _call(installed, tmp_path, "-c", program).splitlines()]
    assert folders == [installed / "contsemi/_resources" / n for n in ("conf", "scenarios")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_the_wheel_trains_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    small = ("scenario.classes=4", "scenario.tasks=2", "model.width=8", "optim.epochs=1")
    screen = _call(installed, tmp_path, "-m", "contsemi.run", *small, "device=cpu")
    assert "average accuracy" in screen
    (results,) = tmp_path.glob("outputs/digits_5tasks/*/results.json")
    assert json.loads(results.read_bytes())["method"] == "contsemi"
    assert (results.parent / "forgetting.png").stat().st_size > 10_000


def test_the_wheel_holds_every_file_of_conf_and_scenarios(installed: Path) -> None:
    for name in ("conf", "scenarios"):
        here = {f.relative_to(ROOT) for f in (ROOT / name).rglob("*") if f.is_file()}
        resources = installed / "contsemi" / "_resources"
        there = {f.relative_to(resources) for f in (resources / name).rglob("*") if f.is_file()}
        assert here == there
    templates = Path("contsemi/report/pages/templates")
    here, there = ({f.name for f in (root / templates).iterdir()} for root in (ROOT, installed))
    assert here == there >= {"base.html", "style.css"}
    assert (installed / "contsemi" / "py.typed").is_file()
    assert [f.name for f in installed.glob("*.dist-info/licenses/*")] == ["LICENSE"]


def test_the_wheel_has_nothing_but_the_package(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"contsemi"}
