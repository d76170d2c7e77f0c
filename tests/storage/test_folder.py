"""The output folder: one process, one run, and nothing of others touched."""

import errno
import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from contsemi.errors import InputError, StorageFailed
from contsemi.records.effects import with_effect
from contsemi.storage import folder as module

OutputFolder = functools.partial(
    module.OutputFolder, bound=lambda config: with_effect(config, "numbers", "measured")
)
CONFIG = {
    "seed": 0,
    "resume": "auto",
    "output": "a",
    "display": "auto",
    "checkpoint": {"seconds": 1},
    "data": {"root": "here"},
    "optim": {"lr": 0.1, "epochs": 3},
    "projector": [8, 4],
}
OWNER = f"process {os.getpid()} on {socket.gethostname()} since 20"
FACTS = {"dataset_digests": {"train": "1"}, "label_digest": "2"}
OURS = {"versions": {"contsemi": "0.1"}}
PAST = "process 1 on here since 2001-01-01 00:00:00"
FREE = ("output", "resume", "display", "checkpoint")


def bound(config):
    """What such a run is bound to: all but where it lies."""
    kept = {key: value for key, value in config.items() if key not in FREE}
    data = {key: value for key, value in kept.get("data", {}).items() if key != "root"}
    return kept | {"data": data}


def begun(folder, config=CONFIG, **files):
    """A folder in which a run has begun."""
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"config": config, **FACTS, **OURS}))
    for name, text in files.items():
        (folder / name.replace("_json", ".json")).write_text(text)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def refused(folder, match, **changes):
    output = OutputFolder(folder, CONFIG | changes, bound=bound)
    with pytest.raises(InputError, match=match) as caught, output:
        raise AssertionError("entered")
    assert str(caught.value).startswith(f"output={folder}: ")
    assert "\n" not in str(caught.value)


@pytest.fixture
def holder(tmp_path):
    """Starts another process that holds the folder."""
    program = """
        import sys, time
        from pathlib import Path
        from contsemi.storage.folder import OutputFolder
        with OutputFolder(Path(sys.argv[1]), {"resume": "auto"}):
            print("held", flush=True)
            time.sleep(60)
    """
    processes = []

    def start(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path, holder):
    folder = tmp_path / "run"
    first = holder(folder)
    for resume in ("auto", "never"):
        refused(
            folder,
            rf"in use by another run \(process {first.pid} on \S+ since 20.*\); wait",
            resume=resume,
        )
    first.send_signal(signal.SIGKILL)
    first.wait()
    with OutputFolder(folder, CONFIG):
        assert (folder / "run.lock").read_text().startswith(OWNER)


def test_two_holders_in_one_process(tmp_path):
    with OutputFolder(tmp_path / "run", CONFIG):
        refused(tmp_path / "run", "in use by another run")
    with OutputFolder(tmp_path / "run", CONFIG) as again:
        assert not again.finished


@pytest.mark.parametrize("before", ["", "dead"])
def test_an_owner_who_has_not_said_its_name_yet_is_waited_for(before, tmp_path):
    """The name of the one before stands there meanwhile."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    name = before and f"process {ended.pid} on {socket.gethostname()} since 2001-01-01 00:00:00"
    path = tmp_path / "run.lock"
    path.write_text(name)
    with path.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        says = threading.Timer(0.3, path.write_text, [OWNER])
        says.start()
        refused(tmp_path, rf"in use by another run \(process {os.getpid()} on")
        says.join()


def test_an_owner_elsewhere_is_believed(tmp_path, monkeypatch):
    path, slept = tmp_path / "run.lock", []
    path.write_text("process 1 on another-machine since 2001-01-01 00:00:00")
    monkeypatch.setattr(time, "sleep", slept.append)
    with path.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(tmp_path, "process 1 on another-machine since")
    assert slept.count(0.2) == 1


def test_the_lock_of_a_run_that_removed_its_folder_is_not_taken(tmp_path, monkeypatch):
    """Between opening the file and locking it, its owner may have removed it."""
    import fcntl

    folder, lock = tmp_path / "run", fcntl.flock
    folder.mkdir()
    (folder / "run.lock").touch()
    removed = []

    def remove_first(file, how):
        if not removed:
            removed.append((folder / "run.lock").unlink())
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with OutputFolder(folder, CONFIG):
        assert (folder / "run.lock").read_text().startswith(OWNER)
        refused(folder, "in use by another run")


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_files_of_others_are_not_touched(resume, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years")
    (tmp_path / "config.yaml").write_text("mine")
    before = contents(tmp_path)
    refused(tmp_path, "holds files of something else .'config.yaml', ...", resume=resume)
    assert contents(tmp_path) == before


FOREIGN = {
    "a web page": {"manifest.json": '{"name": "my web app", "versions": {}}', "results.json": "9"},
    "results alone": {"results.json": '{"method": "mine"}', "metrics.jsonl": "{}"},
    "another program's lock": {"run.lock": "4711\n", "accuracy_matrix.csv": "1,2"},
    "an empty lock": {"run.lock": "", "report.html": "<p>mine</p>"},
    "a manifest like ours": {"manifest.json": '{"versions": ["contsemi"], "config": {}}'},
    "no JSON": {"manifest.json": "CACHE MANIFEST", "config.yaml": "mine"},
    "a pipeline's state": {"checkpoints": None, "state.pt": "tensors"},
}


@pytest.mark.parametrize("resume", ["auto", "never"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_the_names_of_our_files_do_not_make_a_folder_ours(kind, resume, tmp_path):
    for name, text in FOREIGN[kind].items():
        if text is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(text)
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")}
    refused(tmp_path, "holds files of something else", resume=resume)
    assert {path: path.is_dir() or path.read_bytes() for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["checkpoints", "answers"])
def test_a_link_out_of_the_folder_is_not_followed(name, tmp_path):
    folder, other = begun(tmp_path / "run"), tmp_path / "other"
    other.mkdir()
    (other / ".results.json.12.tmp").write_text("years")
    (folder / name).symlink_to(other)
    refused(folder, f"its {name} is a link to somewhere else")
    assert (other / ".results.json.12.tmp").read_text() == "years"


def test_a_folder_in_which_nothing_was_written_goes_again(tmp_path):
    folder = tmp_path / "new" / "deep" / "run"
    with pytest.raises(InputError), OutputFolder(folder, CONFIG):
        raise InputError("data.root", "no images", "name another")
    assert list(tmp_path.iterdir()) == []
    empty = tmp_path / "empty"
    empty.mkdir()
    with OutputFolder(empty, CONFIG):
        pass
    assert list(tmp_path.rglob("*")) == [empty]
    with OutputFolder(folder, CONFIG):
        (folder / "config.yaml").touch()
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "run.lock"]


def test_a_run_killed_before_its_manifest_begins_again(tmp_path):
    (tmp_path / "run.lock").write_text(PAST)
    (tmp_path / "config.yaml").write_text("seed: 0")
    (tmp_path / "metrics.jsonl").touch()
    with OutputFolder(tmp_path, CONFIG) as output:
        assert not output.finished


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 7}, r"another seed \(0 -> 7\)"),
        ({"optim": {"lr": 0.2, "epochs": 3}}, r"another optim\.lr \(0\.1 -> 0\.2\)"),
        ({"projector": [8, 5]}, r"another projector \(\[8, 4\] -> \[8, 5\]\)"),
        ({"optim": {"lr": 0.1}}, r"another optim\.epochs \(3 -> null\)"),
        ({"more": 1}, r"another more \(null -> 1\)"),
        ({"seed": 1, "projector": [1]}, r"another projector .*, seed .*; give another output="),
        ({"data": {"root": "there", "size": 8}}, r"another data\.size \(null -> 8\); give"),
        ({"method": "paws", "seed": 3}, r"with another method \(null -> paws\); give"),
    ],
)
def test_another_configuration_is_refused_key_by_key(change, said, tmp_path):
    folder = begun(tmp_path / "run")
    before = contents(folder)
    refused(folder, said, **change)
    assert {k: v for k, v in contents(folder).items() if k.name != "run.lock"} == before
    with OutputFolder(folder, CONFIG | change | {"resume": "never"}) as output:
        assert not output.finished


def test_what_does_not_change_the_numbers_may_change(tmp_path):
    folder = begun(tmp_path / "run", results_json="{}")
    free = {"output": "b", "display": "quiet", "checkpoint": {}, "data": {"root": "there"}}
    with OutputFolder(folder, CONFIG | free, bound=bound) as output:
        assert output.finished
    with OutputFolder(folder, CONFIG | {"resume": "never"}) as output:
        assert not output.finished


@pytest.mark.parametrize("key", FACTS)
def test_other_images_or_labels_are_refused(key, tmp_path):
    folder = begun(tmp_path / "run")
    with OutputFolder(folder, CONFIG) as output:
        output.refuse_other_images(FACTS)
        with pytest.raises(InputError, match=r"data\.root: the run in .* began with other images"):
            output.refuse_other_images(FACTS | {key: "other"})
    with OutputFolder(folder, CONFIG | {"resume": "never"}) as output:
        output.refuse_other_images(FACTS | {key: "other"})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": 3}', "\x00"])
def test_a_damaged_manifest_is_said(text, tmp_path):
    folder = begun(tmp_path / "run")
    (folder / "run.lock").write_text(PAST)
    (folder / "manifest.json").write_text(text)
    refused(folder, "its manifest.json cannot be read; .*resume=never")
    with OutputFolder(folder, CONFIG | {"resume": "never"}):
        pass


@pytest.mark.parametrize("left", ["results.json", "checkpoints"])
def test_a_missing_manifest_is_said(left, tmp_path):
    folder = begun(tmp_path / "run")
    with OutputFolder(folder, CONFIG):
        (folder / left).mkdir()
        (folder / "manifest.json").unlink()
    refused(folder, "its manifest.json is missing; .*resume=never")


def test_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        refused(folder, "is not a folder; give another output=")
    assert contents(tmp_path) == {}  # no name with a dot came to be
    assert (tmp_path / "file").read_text() == "x"


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    def read_only(self, *args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    refused(tmp_path / "run", r"cannot be written \(Read-only file system\); give another output=")


def test_a_full_disk_is_not_the_fault_of_the_name(tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(StorageFailed, match="No space left"), OutputFolder(tmp_path / "a", CONFIG):
        raise AssertionError("entered")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_lock_that_is_no_file_is_not_touched(what, tmp_path):
    folder = begun(tmp_path / "run")
    (tmp_path / "mine").write_text("years")
    if what == "link":
        (folder / "run.lock").symlink_to(tmp_path / "mine")
    else:
        os.mkfifo(folder / "run.lock")
    refused(folder, "run.lock is not a regular file" if what == "pipe" else "cannot be written")
    assert (tmp_path / "mine").read_text() == "years"


def test_what_kills_left_half_written_is_swept_and_nothing_else(tmp_path):
    folder = begun(tmp_path / "run")
    (folder / "checkpoints").mkdir()
    left = [".results.json.12.tmp", "checkpoints/.state-000001.safetensors.7.tmp"]
    others = ["notes.tmp", ".hidden", ".a.tmp", "checkpoints/.b.tmp.7"]
    for name in left + others:
        (folder / name).touch()
    with OutputFolder(folder, CONFIG):
        assert not any((folder / name).exists() for name in left)
        assert all((folder / name).exists() for name in others)


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
def test_a_folder_that_is_gone_is_said(how, tmp_path):
    folder = tmp_path / "run"
    with OutputFolder(folder, CONFIG) as output:
        output.refuse_if_gone()
        folder.rename(tmp_path / "elsewhere")
        if how == "replaced":
            folder.mkdir()
            (folder / "run.lock").touch()
        with pytest.raises(StorageFailed, match="was removed or renamed"):
            output.refuse_if_gone()
