"""``python -m contsemi.report``."""

import json
import shutil
import subprocess
import sys

import pytest

from contsemi.report.__main__ import main


def test_redraws_a_run_from_its_files(make_run, capsys):
    folder = make_run(3)
    assert main([str(folder)]) == 0
    assert (folder / "forgetting.png").read_bytes().startswith(b"\x89PNG")
    assert b"</html>" in (folder / "report.html").read_bytes()
    out = capsys.readouterr().out
    assert "after task" in out
    assert f"files in {folder}: report.html, forgetting.png" in out


def test_compares_runs(make_run, capsys):
    folders = [str(make_run(3, seed=seed)) for seed in range(3)]
    assert main([*folders, folders[0]]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines() if line.startswith("contsemi")] == ["3"]
    assert "note:" not in out
    assert err == ""


@pytest.mark.parametrize("name", ["gone", "."])
def test_wrong_folder_is_one_line(tmp_path, capsys, name):
    assert main([str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert str(tmp_path) in err


def test_a_folder_that_cannot_be_written(make_run, capsys):
    folder = make_run(2)
    (folder / "report.html").mkdir()
    assert main([str(folder)]) == 5
    assert "report.html" in capsys.readouterr().err


def test_the_same_run_elsewhere(make_run, tmp_path):
    """No path is written into the files, so a moved folder gives the same pictures."""
    first = make_run(3)
    second = shutil.copytree(first, tmp_path / "moved")
    assert main([str(first)]) == main([str(second)]) == 0
    for name in ("forgetting.png", "report.html"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_torch_is_never_imported(make_run):
    code = (
        "import json, sys\n"
        "import contsemi.metrics.accuracy, contsemi.metrics.summary, contsemi.records.records\n"
        "from contsemi.report.__main__ import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "heavy = {'torch', 'avalanche', 'hydra', 'faiss', 'matplotlib.pyplot'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(make_run(2))], capture_output=True, check=True
    )
    assert json.loads(done.stderr) == []


def test_the_screen_needs_no_matplotlib():
    code = "import contsemi.report.__main__, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
