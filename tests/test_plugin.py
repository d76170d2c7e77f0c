"""The proof that parts can be added from outside: a package of its own has one of each kind.

No file of contsemi knows ``tests/plugin``; it is built and laid out as an installer does.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "objective": ("counted", "smoothing", "2"),
    "distiller": ("anchored", "anchor", "11"),
    "model": ("pooled", "cells", "0"),
    "predict": ("tempered", "cooling", "2"),
    "labels": ("every_nth", "start", "-1"),
    "memory.selection": ("newest", "group_of", "0"),
    "memory.drift": ("halfway", "share", "2"),
    "data.source": ("stripes", "classes", "1"),
    "views.drawn": ("lightness", "strength", "2"),
    "evaluate.probes": ("scatter_of", "power", "0"),
}
SEVERAL = ("views.drawn", "evaluate.probes")
EVERYTHING = [
    f"{group}={f'[{name}]' if group in SEVERAL else name}" for group, (name, *_) in KINDS.items()
]
# A distiller with stored embeddings, so that a drift map and the memory have work.
SMALL = ["scenario=stripes_2tasks", "optim.epochs=3", "batch.unlabelled=32", "display=plain"]
SMALL += ["memory.embeddings=20"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package, as an installer lays it out."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "tests" / "plugin", folder / "source")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(
        [*command, str(folder / "source")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def command(installed, tmp_path):
    """Runs ``python -m contsemi.run`` with the package; exit code, output, errors."""
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{installed}", "OMP_NUM_THREADS": "1"}

    def run(*words, launcher=("-m", "contsemi.run")):
        done = subprocess.run(
            [sys.executable, *launcher, *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    run.env = env
    return run


def test_no_file_of_ours_knows_it():
    names = "|".join(["elsewhere", *(name for name, *_ in KINDS.values())])
    for folder in ("contsemi", "conf", "scenarios"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml"):  # as a word of code, not of a sentence
                assert not re.search(rf"""["'.]({names})["'.]""", file.read_text("utf-8")), file


@pytest.mark.quick(1)
def test_each_is_chosen_and_its_keys_are_checked(installed, tmp_path):
    """In one process, to be quick: what is chosen, what help says, what is refused, and how."""
    program = """
import contextlib, functools, io, json, sys
from contsemi.compose import groups
from contsemi.run import main
compose = functools.cache(groups.compose)
groups.compose = lambda words: compose(tuple(words)).copy()  # each composition once
found = {}
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    found[" ".join(words)] = code, out.getvalue(), err.getvalue()
assert not {"torch", "elsewhere"} & set(sys.modules)
json.dump(found, sys.stdout)
"""
    all_of_them = ["scenario=stripes_2tasks", "memory.embeddings=20", *EVERYTHING]
    asked = [["--help"], [*all_of_them, "--cfg", "job"]]
    asked += [["scenario=stripes_2tasks", "method=elsewhere", "--cfg", "job"]]
    wrong = {}
    for group, (name, key, value) in KINDS.items():
        choice = f"{group}={name}"
        prefix = f"{group}.{name}" if group in SEVERAL else group
        wrong[f"{group}={name}x"] = rf"unknown {group} '{name}x'; did you mean {choice}\?"
        wrong[f"{choice} {prefix}.{key}={value}"] = (
            rf"{prefix}\.{key}: expected a .*number from .* to .*, got {value}; "
        )
        wrong[f"{choice} {prefix}.{key}=abc"] = rf"{prefix}\.{key}: expected a .*number.*got 'abc'"
        wrong[f"{choice} {prefix}.{key}x=1"] = (
            rf"{prefix}\.{key}x: unknown key; did you mean {prefix}\.{key}\?"
        )
    asked += [line.split() for line in wrong]
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{installed}"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(asked),
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name, *_ in [*KINDS.values(), ("stripes_2tasks",), ("elsewhere",)]:
        assert name in found["--help"][1]
    code, printed, _ = found[" ".join(asked[1])]
    assert code == 0
    config = yaml.safe_load(printed)
    for group, (name, *_) in KINDS.items():
        section = config
        for part in group.split("."):
            section = section[part]
        assert (section[name] if group in SEVERAL else section)["name"] == name
    assert yaml.safe_load(found[" ".join(asked[2])][1])["method"] == "elsewhere"
    for line, says in wrong.items():
        code, out, err = found[line]
        assert (code, out) == (2, ""), (line, err)
        assert re.search(says, err), (line, err)


def results(folder):
    content = json.loads((folder / "results.json").read_text())
    kinds = ("class_incremental", "task_incremental")
    return [content[kind]["average_accuracy"] for kind in kinds], content["memory_bytes"]


@pytest.mark.thorough
def test_they_run_and_leave_their_traces(command, tmp_path):
    code, out, err = command(*SMALL, *EVERYTHING, "output=run")
    assert code == 0, err
    assert "task 2/2 done" in out
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["evaluate"]["probes"]["scatter_of"]["power"] == 2.0
    names = {json.loads(line)["name"] for line in (tmp_path / "run" / "metrics.jsonl").open("rb")}
    assert {"loss/labels", "loss/anchor", "probe/scatter_of"} <= names
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["class_names"] == ["width 1", "width 2", "width 3", "width 4"]
    assert manifest["label_indices"][:3] == [0, 5, 10]  # every fifth of 60


@pytest.mark.slow
def test_what_they_hold_goes_on_after_an_interruption(command, tmp_path):
    words = [*SMALL[:1], *SMALL[2:], *EVERYTHING, "optim.epochs=40", "checkpoint.seconds=0"]
    code, _, err = command(*words, "output=whole")
    assert code == 0, err
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "contsemi.run", *words, "output=parted"],
        cwd=tmp_path,
        env=command.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "task 1/2 done" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    code, out, err = command(*words, "output=parted")
    assert code == 0, err
    assert re.search("goes on from a checkpoint in task [12]", out)
    assert results(tmp_path / "parted") == results(tmp_path / "whole")


@pytest.mark.slow
def test_they_run_on_two_processes(command, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    words = [*SMALL, *EVERYTHING, "precision=fp32", "device=cpu"]
    code, _, err = command(*words, "output=two", launcher=(*launcher, "-m", "contsemi.run"))
    assert code == 0, err
    code, _, err = command(*words, "output=one")
    assert code == 0, err
    (two, kept), (one, held) = results(tmp_path / "two"), results(tmp_path / "one")
    assert kept == held
    assert two == pytest.approx(one, abs=0.026)  # two of the 80 test images
