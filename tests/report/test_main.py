"""``python -m contsemi.report``."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contsemi.records.records import Records
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


def test_one_run_under_two_names_of_its_folder_counts_once(make_run, tmp_path, capsys):
    folders = [str(make_run(3, seed=seed)) for seed in range(3)]
    (tmp_path / "link").symlink_to(folders[0])
    assert main([*folders, f"{folders[1]}/.", str(tmp_path / "link")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("contsemi")] == ["3"]
    assert "note:" not in out


@pytest.mark.parametrize("name", ["gone", "."])
def test_wrong_folder_is_one_line(tmp_path, capsys, name):
    assert main([str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert str(tmp_path) in err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--nope"],
        ["x" * 5000],
        ["a\0b"],
        ["nowhere/a\u202eb\x1b[31mred"],
        ["--follow", ".", "--port", "99999"],
        ["--follow", ".", "--port", "-1"],
        ["--follow", ".", "--port", "http"],
        ["--list", "x" * 5000],
        ["--list", "nowhere"],
        ["--list", "--follow"],
        ["--list", "--output", "somewhere"],
        ["--list", "--interactive"],
        ["--follow", ".", "--interactive"],
        ["--follow", ".", "--output", "somewhere"],
        [".", "--port", "8000"],
    ],
)
def test_misuse_is_one_line(capsys, words):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert len(err) < 200 and err[:-1].isprintable()


@pytest.mark.parametrize(
    "line",
    [
        '{"step":1e99,"task":1,"name":"trace/class_incremental/task_1","value":0.5}',
        '{"step":1,"task":1,"name":"trace/class_incremental/task_999999999","value":0.5}',
        '{"step":1,"task":-1,"name":"probe/knn_1","value":0.5}',
        '{"step":1,"task":1,"name":"loss/a","value":1e999}',
        '{"step":1,"task":1,"name":["loss/a"],"value":{}}',
        '"loss/a"',
        '{"step":1,"task":1,"name":"loss/a","value":' + "[" * 100_000,
    ],
)
@pytest.mark.quick(2)
def test_a_damaged_line_of_metrics_is_one_line(make_run, capsys, line):
    folder = make_run(2, evaluations=2)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line.replace("probe/", "trace/") + "\n")
    assert main([str(folder)]) == 2
    err = capsys.readouterr().err
    assert "metrics.jsonl" in err and err.count("\n") == 1 and len(err) < 600


def test_ctrl_c_is_130_at_any_moment(make_run):
    """While it imports as well as while it works; Python itself has begun."""
    command = [sys.executable, "-m", "contsemi.report", str(make_run(3))]
    for seconds in (0.0, 0.7):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        maps = Path(f"/proc/{run.pid}/maps")
        while "numpy" not in maps.read_text():  # the first of what a page needs
            time.sleep(0.005)
        time.sleep(seconds)
        run.send_signal(signal.SIGINT)
        err = run.communicate()[1]
        assert (run.returncode, err) in [(130, b""), (0, b"")]


def test_a_run_that_is_not_finished_does_not_hide_the_others(make_run, tmp_path, capsys):
    folders = [make_run(3, seed=seed) for seed in range(3)]
    with Records(tmp_path / "half") as records:
        records.write_config({"method": "suave", "scenario": {"name": "digits"}, "seed": 1})
        records.write_manifest({"class_order": [0, 1]})
        records.write_progress({"task": 1, "tasks": 5})
    assert main([*map(str, folders), str(tmp_path / "half")]) == 0
    out = capsys.readouterr().out
    assert "±" in out
    assert f"note: {tmp_path / 'half'}: is not finished and left out" in out
    assert main(["--list", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("finished" in line for line in lines) == 3
    (half,) = (line for line in lines if "half" in line)
    assert "suave" in half and "in task 2/5" in half


def test_a_folder_that_cannot_be_written(make_run, capsys):
    folder = make_run(2)
    (folder / "report.html").mkdir()
    assert main([str(folder)]) == 5
    assert "report.html" in capsys.readouterr().err


@pytest.mark.thorough
def test_the_same_run_elsewhere(make_run, tmp_path):
    """No path is written into the files, so a moved folder gives the same pictures."""
    first = make_run(3)
    second = shutil.copytree(first, tmp_path / "moved")
    assert main([str(first)]) == main([str(second)]) == 0
    for name in ("forgetting.png", "report.html"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.thorough
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
