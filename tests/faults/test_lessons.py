"""SIGKILL and full disks at every file-system call of a lesson: the last whole one stays.

Three commands are disturbed: the first lesson, a later one, and ``--undo``. Whatever happens, the
model is the one before or the one after, to the bit, and the same command again ends as if nothing
had been.
"""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

COMMAND = "contsemi.learn.__main__"
QUICK = ("model=pixels", "data.size=8", "views.test_size=8", "threads=1", "device=cpu")
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")
KINDS = {"first": ("nothing", "one"), "later": ("one", "two"), "undo": ("two", "one")}


def write(folder, classes, seed):
    draw = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


class Lessons:
    """A model before and after each of the three commands."""

    def __init__(self, warm, place):
        self.warm, self.photos = warm, place / "photos"
        write(self.photos / "one", ("cat", "dog"), 0)
        write(self.photos / "two", ("fox",), 1)
        self.cache = f"data.cache={place / 'cache'}"
        self.states, self.made = {"nothing": None}, 0
        folder = self.begun("nothing")
        assert self.call(folder, "first")["code"] == 0
        self.states["one"] = self.kept(folder)
        assert self.call(folder, "later")["code"] == 0
        self.states["two"] = self.kept(folder)
        assert self.call(folder, "undo")["code"] == 0
        assert digest(folder) == digest(self.states["one"])

    def kept(self, folder):
        self.made += 1
        return shutil.copytree(folder, self.warm.place / f"kept{self.made}")

    def begun(self, state):
        """A folder in which a model is as it is in a state."""
        folder = self.warm.folder()
        folder.parent.mkdir(parents=True)
        if self.states[state] is not None:
            shutil.copytree(self.states[state], folder)
        return folder

    def call(self, folder, kind, **job):
        photos = {"first": "one", "later": "two"}.get(kind)
        words = ["--undo"] if photos is None else [str(self.photos / photos)]
        words += [self.cache, *QUICK] if kind == "first" else []
        return self.warm.call(folder, [str(folder), *words], command=COMMAND, **job)

    def check(self, folder, kind, where):
        """It is as before or as after; then the command again, or one that follows it."""
        before, after = (self.states[name] for name in KINDS[kind])
        now = digest(folder)
        assert now in (digest(before), digest(after)), where
        if now == digest(before):
            answer = self.call(folder, kind)
            assert answer["code"] == 0, (where, answer["said"])
            assert digest(folder) == digest(after), where
        else:  # what a kill has left lying goes with the next command
            then = "undo" if kind == "later" else "later"
            answer = self.call(folder, then)
            assert answer["code"] == 0, (where, answer["said"])
            assert digest(folder) == digest(self.states[KINDS[then][1]]), where
        assert not list(folder.rglob("*.tmp")), where
        self.warm.forget(folder)


def digest(folder):
    """Of the newest generation and the number of all; ``None`` where there is none."""
    manifest = folder / "generations" / "MANIFEST.json" if folder else None
    if manifest is None or not manifest.is_file():
        return None
    found = json.loads(manifest.read_text())["body"]["generations"]
    content = (folder / "generations" / found[0]["file"]).read_bytes()
    record = json.dumps({**found[0]["record"], "config": None}, sort_keys=True)
    return len(found), hashlib.sha256(content).hexdigest(), record


@pytest.fixture(scope="module")
def lessons(warm, tmp_path_factory):
    return Lessons(warm, tmp_path_factory.mktemp("lessons"))


def points(lessons, kind, *, changing=False):
    """How many calls there are; a write counts twice."""
    folder = lessons.begun(KINDS[kind][0])
    log, contents = folder.parent / "log", folder.parent / "contents"
    where = {"folder": str(folder), "path": str(log), "contents": str(contents)}
    answer = lessons.call(folder, kind, plants=[["log_calls", where]])
    assert answer["code"] == 0, answer["said"]
    ops = [json.loads(line)[0] for line in log.read_text().splitlines()]
    lessons.warm.forget(folder)
    left = [op for op in ops if not changing or op not in ("list", "unlink", "rmdir")]
    return len(left) + left.count("write")


def killed(lessons, kind, number):
    folder = lessons.begun(KINDS[kind][0])
    where = {"folder": str(folder), "number": number}
    answer = lessons.call(folder, kind, plants=[["kill_at", where]])
    assert answer["code"] == -9, answer["said"]
    lessons.check(folder, kind, f"{kind} killed before call {number}")


def failed(lessons, kind, number, name):
    folder = lessons.begun(KINDS[kind][0])
    fault = {"folder": str(folder), "number": number, "name": name}
    answer = lessons.call(folder, kind, plants=[["fail_at", fault]])
    said = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    assert answer["code"] in (0, 5), (kind, fault, answer["said"])
    assert "Traceback" not in answer["said"] and len(said) == bool(answer["code"]), fault
    assert answer["code"] == 0 or str(folder) in said[0], fault
    lessons.check(folder, kind, f"{kind} {fault}")
    return answer["code"]


@pytest.mark.thorough
def test_some_kills(lessons, draw):
    for kind in KINDS:
        for number in draw.sample(range(points(lessons, kind)), 2):
            killed(lessons, kind, number)


@pytest.mark.thorough
def test_some_calls_fail(lessons, draw):
    for kind in KINDS:
        number = draw.randrange(points(lessons, kind, changing=True) - 1)
        failed(lessons, kind, number, draw.choice(ERRORS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.thorough
def test_no_room_at_its_first_change_ends_a_lesson(lessons, kind):
    assert failed(lessons, kind, 0, "ENOSPC") == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kill(lessons, kind):
    count = points(lessons, kind)
    print(f"{count} points")
    assert count >= 15
    for number in range(count):
        killed(lessons, kind, number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_fails(lessons, kind, draw):
    count = points(lessons, kind, changing=True)
    codes = [failed(lessons, kind, number, draw.choice(ERRORS)) for number in range(count)]
    print(f"{count} calls")
    assert codes.count(5) >= count // 2
