"""Hostile files wherever files are read: an audit hook sees that nothing in them is run.

A child that starts a process, opens a socket, runs code of a file or writes outside of its folder
ends with code 99, see :mod:`guard`. What is wanted is the end of every bad input: one line.
"""

import json
import os
import shutil
import tarfile
import time

import payloads
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SMALL
from makers import image, make, tar
from payloads import FORMATS, GADGETS, SAFETENSORS, TARGETS, TOUCH, YAML, pickled
from safetensors.numpy import save

# What lies about in the folder where a command is given, and must not be imported or run
LURES = ("evil.py", "hubconf.py", "sitecustomize.py", "conftest.py", "torchvision.py", "conf.py")


@pytest.fixture
def place(tmp_path):
    """The folder where the command is given, full of lures; canaries appear beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in LURES:
        (folder / name).write_text(payloads.PYTHON)
    (folder / "evil.joblib").write_bytes(pickled("os.system"))
    return folder


def harmless(answer, place, *, codes=(2, 4)):
    """Asserts that nothing was run, and that the command ended as bad input has to."""
    assert not (place / payloads.CANARY).exists(), answer
    assert answer.signal == 0 and not answer.hung, answer
    assert answer.code in codes, answer
    if answer.code:
        assert len(answer.err.splitlines()) == 1, answer
        assert answer.err.startswith("error: "), answer
        assert "Traceback" not in answer.err, answer
        assert len(answer.err) < 5000, answer


def guarded(running, call, words, place):
    return running(call, words, folder=place, guard=[place], seconds=120.0)


# Weights to start from

WEIGHTS = [(form, "os.system", 2) for form in FORMATS]
WEIGHTS += [("zip pt", gadget, 2) for gadget in GADGETS if gadget != "os.system"]
WEIGHTS += [("pickle", gadget, 4) for gadget in ("exec", "subprocess", "socket")]
QUICK = {("zip pt", "os.system", 2), ("legacy pt", "os.system", 2), ("pickle", "exec", 4)}


def slow_but(quick, cases):
    """Marks all other cases as slow."""
    return [
        pytest.param(*each, marks=() if each in quick else pytest.mark.slow)
        for each in (case if isinstance(case, tuple) else (case,) for case in cases)
    ]


@pytest.mark.quick(1)
@pytest.mark.parametrize(("form", "gadget", "protocol"), slow_but(QUICK, WEIGHTS))
def test_weights(form, gadget, protocol, running, place) -> None:
    (place / "w.pt").write_bytes(FORMATS[form](pickled(gadget, protocol)))
    words = [*SMALL, "output=run", "init.weights=w.pt"]
    harmless(guarded(running, "contsemi.run:main", words, place), place)
    assert not (place / "run").exists()


@pytest.mark.parametrize("kind", slow_but({("a pickle",), ("nested",)}, SAFETENSORS))
def test_safetensors(kind, running, place) -> None:
    (place / "w.safetensors").write_bytes(SAFETENSORS[kind]())
    harmless(guarded(running, "readers:weights", ["w.safetensors"], place), place)


@pytest.mark.parametrize("kind", slow_but({("fifo",)}, ["fifo", "folder", "link to /dev/zero"]))
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_weights_that_are_no_files(kind, name, running, place) -> None:
    make(place, {name: kind})
    harmless(guarded(running, "readers:weights", [name], place), place)


# The folder of a run to go on with

STATE = "state-000000.safetensors"
FOLDERS = {
    "state is a pickle": (STATE, pickled("os.system")),
    "manifest is a pickle": ("MANIFEST.json", pickled("os.system")),
    "manifest is YAML": ("MANIFEST.json", YAML["python/object/apply"].encode()),
    "manifest is nested": ("MANIFEST.json", b"[" * 100_000),
    "manifest is endless": ("MANIFEST.json", b"[" + b"0," * 10_000_000 + b"0]"),
    "a DCP checkpoint": (".metadata", pickled("os.system")),
}


def unfinished(finished, place):
    """A copy of the run as if it had been killed."""
    shutil.copytree(finished, place / "run")
    (place / "run" / "results.json").unlink()
    return place / "run" / "checkpoints"


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", slow_but({("state is a pickle",)}, FOLDERS))
def test_saved_states(kind, running, finished, place) -> None:
    folder = unfinished(finished, place)
    name, content = FOLDERS[kind]
    for each in folder.iterdir() if name == STATE else [folder / name]:
        if each.suffix != ".json" or name != STATE:
            each.write_bytes(content)
    answer = guarded(running, "contsemi.run:main", [*SMALL, "output=run"], place)
    harmless(answer, place, codes=(0,) if name == ".metadata" else (4,))


@pytest.mark.parametrize(
    "name", slow_but({("../../w.safetensors",)}, ["../../w.safetensors", "/etc/passwd", "w.pkl"])
)
def test_a_manifest_that_names_other_files(name, running, finished, place) -> None:
    """Its own digest fits: whoever can write it can hash it."""
    from contsemi.storage.checkpoint import _canonical, hashlib

    folder = unfinished(finished, place)
    body = json.loads((folder / "MANIFEST.json").read_text())["body"]
    for entry in body["generations"]:
        entry["file"] = name
    whole = {"body": body, "sha256": hashlib.sha256(_canonical(body)).hexdigest()}
    (folder / "MANIFEST.json").write_bytes(_canonical(whole))
    answer = guarded(running, "contsemi.run:main", [*SMALL, "output=run"], place)
    harmless(answer, place, codes=(4,))
    assert "names the file" in answer.err


@pytest.mark.parametrize(
    "what", slow_but({("link to /etc/hostname",)}, ["link to /etc/hostname", "fifo"])
)
@pytest.mark.parametrize("name", ["MANIFEST.json", "state"])
def test_saved_states_that_are_no_files(what, name, running, finished, place) -> None:
    folder = unfinished(finished, place)
    for file in [folder / name] if name != "state" else list(folder.glob("state-*")):
        file.unlink()
        make(folder, {file.name: what})
    answer = guarded(running, "contsemi.run:main", [*SMALL, "output=run"], place)
    harmless(answer, place, codes=(4,))


# Images and labels


@pytest.mark.parametrize("gadget", slow_but({("exec",)}, GADGETS))
def test_cifar_pickles(gadget, running, place) -> None:
    folder = place / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickled(gadget))
    harmless(guarded(running, "readers:cifar", [".", "cifar100"], place), place)


def _member(kind, **facts):
    info = tarfile.TarInfo()
    info.type = kind
    for name, value in facts.items():
        setattr(info, name, value)
    return info


INSIDE = "cifar-100-python/train"
ARCHIVES = {
    "parent": lambda: {"../canary": b"x", INSIDE: b"x"},
    "absolute": lambda: {"/tmp/canary": b"x", INSIDE: b"x"},
    "link out": lambda: {INSIDE: _member(tarfile.SYMTYPE, linkname="/etc/passwd")},
    "hard link out": lambda: {INSIDE: _member(tarfile.LNKTYPE, linkname="../../etc/passwd")},
    "link to itself": lambda: {INSIDE: _member(tarfile.SYMTYPE, linkname="train")},
    "loop": lambda: {
        INSIDE: _member(tarfile.LNKTYPE, linkname="b"),
        "b": _member(tarfile.LNKTYPE, linkname=INSIDE),
    },
    "through a link": lambda: {
        "cifar-100-python": _member(tarfile.SYMTYPE, linkname=".."),
        "cifar-100-python/canary": b"x",
    },
    "device": lambda: {INSIDE: _member(tarfile.CHRTYPE, devmajor=1, devminor=5)},
    "fifo": lambda: {INSIDE: _member(tarfile.FIFOTYPE)},
    "folder": lambda: {INSIDE: _member(tarfile.DIRTYPE)},
    "setuid": lambda: {INSIDE: _member(tarfile.REGTYPE, mode=0o6777)},
    "sparse": lambda: {INSIDE: _member(tarfile.GNUTYPE_SPARSE)},
    "long name": lambda: {"x" * 5000: b"x"},
    "many members": lambda: {f"{n}": b"" for n in range(20_000)},
    "zeros": lambda: {INSIDE: bytes(300_000_000)},
    "pickles": lambda: dict.fromkeys((INSIDE, INSIDE[:-5] + "test"), pickled("os.system")),
}


@pytest.mark.parametrize("kind", slow_but({("loop",), ("link out",)}, ARCHIVES))
def test_archives(kind, running, place) -> None:
    (place / "cifar-100-python.tar.gz").write_bytes(tar(ARCHIVES[kind]()))
    harmless(guarded(running, "readers:archive", [".", "cifar100"], place), place)
    assert {path.name for path in place.iterdir()} == {
        *LURES, "evil.joblib", "cifar-100-python.tar.gz"
    }  # fmt: skip


EXTENSION = {
    b"ARROW:extension:name": b"arrow.py_extension_type",
    b"ARROW:extension:metadata": pickled("os.system"),
}


def table(kind):
    """A table of two images whose bytes, names or type are hostile."""
    evil = pickled("os.system")
    content = [evil, evil] if kind == "images" else [image(0), image(1)]
    storage = pa.array([{"bytes": each, "path": "../canary"} for each in content])
    image_field = pa.field("image", storage.type, metadata=EXTENSION if kind == "type" else None)
    names = {"names": ["../canary", TOUCH]} if kind == "names" else {}
    note = {"info": {"features": {"label": names, "image": {"_type": "os.system"}}}}
    facts = {"huggingface": json.dumps(note), "pandas": evil}
    schema = pa.schema([image_field, ("label", pa.int64())], metadata=facts)
    return pa.table([storage, pa.array([0, 1])], schema=schema)


@pytest.mark.parametrize(
    ("kind", "code"),
    slow_but({("type", 0)}, [("images", 2), ("type", 0), ("names", 0)]),
)
def test_parquet(kind, code, running, place) -> None:
    for split in ("train", "test"):
        pq.write_table(table(kind), place / f"{split}.parquet")
    answer = guarded(running, "readers:parquet", [".", "cache"], place)
    harmless(answer, place, codes=(code,))


@pytest.mark.parametrize("what", slow_but({("fifo",)}, ["pickle", "fifo", "link to /dev/zero"]))
def test_labels(what, running, place) -> None:
    make(place, {"rows.txt": what})
    harmless(guarded(running, "readers:labels", ["rows.txt"], place), place)


# The folder of a finished run

REPORT = [("config.yaml", text.encode()) for text in YAML.values()]
REPORT += [
    (name, pickled("os.system"))
    for name in ("results.json", "manifest.json", "accuracy_matrix.csv", "metrics.jsonl")
]
REPORT += [
    ("config.yaml", b"a: &a [" + b"x, " * 9 + b"x]\n" + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n".encode()
        for n in range(12)
    )),
    ("answers/after_task_03.safetensors", pickled("os.system")),
    ("answers/after_task_03.safetensors", save({})),
]  # fmt: skip


@pytest.mark.parametrize("number", slow_but({(0,)}, range(len(REPORT))))
def test_reports(number, running, finished, place) -> None:
    name, content = REPORT[number]
    shutil.copytree(finished, place / "run")
    (place / "run" / name).parent.mkdir(exist_ok=True)
    (place / "run" / name).write_bytes(content)
    answer = guarded(running, "readers:report", ["run"], place)
    harmless(answer, place, codes=(0, 2) if number in (7 + 3, 7 + 4) else (2,))


PIPES = ["config.yaml", "manifest.json", "metrics.jsonl", "answers/after_task_03.safetensors"]


@pytest.mark.parametrize("name", slow_but({("config.yaml",)}, PIPES))
def test_reports_of_pipes(name, running, finished, place) -> None:
    shutil.copytree(finished, place / "run")
    (place / "run" / name).parent.mkdir(exist_ok=True)
    (place / "run" / name).unlink(missing_ok=True)
    os.mkfifo(place / "run" / name)
    answer = running("readers:report", ["run"], folder=place, guard=[place], seconds=60.0)
    harmless(answer, place, codes=(0, 2))


# Words of a command

PLACES = (
    "+hydra.callbacks.x={{_target_:{0},cmd:[touch,../canary]}}",
    "model={{_target_:{0}}}",
    "objective._target_={0}",
    "+model._target_={0}",
    "hydra.launcher._target_={0}",
    "hydra/launcher={0}",
    "objective={0}",
)


@pytest.mark.parametrize("target", slow_but({("distutils.spawn.spawn",), ("os.system",)}, TARGETS))
def test_targets_in_words(target, front, place) -> None:
    for word in PLACES:
        for words in ([word.format(target)], ["-m", word.format(target), "seed=0,1"]):
            answer = guarded(front, "contsemi.run:main", words, place)
            harmless(answer, place, codes=(2,))


# That the payloads act, and that the guard sees them


@pytest.mark.parametrize("gadget", slow_but({("exec",), ("subprocess",)}, GADGETS))
def test_the_guard_sees_every_gadget(gadget, running, place) -> None:
    (place / "evil").write_bytes(pickled(gadget))
    (place / "evil.joblib").write_bytes(pickled("os.system"))
    answer = guarded(running, "readers:unpickled", ["evil"], place)
    assert answer.code == 99, answer
    assert answer.err.startswith("FORBIDDEN "), answer


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("torch_load", FORMATS["pickle"](pickled("os.system"))),
        ("torch_load", FORMATS["zip pt"](pickled("os.system"))),
        ("torch_load", FORMATS["legacy pt"](pickled("os.system"))),
        ("numpy_load", FORMATS["npy"](pickled("os.system"))),
        ("yaml_load", YAML["python/object/apply"].encode()),
    ],
)
def test_believing_readers_are_caught(reader, content, running, place) -> None:
    (place / "evil").write_bytes(content)
    assert guarded(running, f"readers:{reader}", ["evil"], place).code == 99


@pytest.mark.parametrize("gadget", ["os.system", "exec", "subprocess"])
def test_without_the_guard_a_payload_leaves_its_canary(gadget, running, place) -> None:
    (place / "evil").write_bytes(pickled(gadget))
    running("readers:unpickled", ["evil"], folder=place)
    end = time.monotonic() + 10
    while not (place / payloads.CANARY).exists():
        assert time.monotonic() < end, "the payload is a dud"
        time.sleep(0.02)


def test_enough_payloads() -> None:
    files = len(WEIGHTS) + len(SAFETENSORS) + len(FOLDERS) + len(GADGETS) + len(ARCHIVES)
    assert files + len(REPORT) >= 60
