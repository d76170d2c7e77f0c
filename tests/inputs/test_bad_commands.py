"""Wrong commands: exit code 2, one line that names the key and the remedy, nothing written."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import FRONT, refused, tree
from warm import Answer, Warm

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "bad_commands.yaml").read_text("utf-8"))
# A dozen of all kinds for processes of their own, which import everything anew.
COLD = [number for number, case in enumerate(CASES) if number % (len(CASES) // 12) == 5][:12]
QUICK = 3  # one in so many belongs to the quick suite
EACH = [
    pytest.param(*case, id=str(case[0])[:60], marks=[pytest.mark.slow] if number % QUICK else [])
    for number, case in enumerate(CASES)
]


def words_of(given):
    """The words of a case; ``<9 x 400>`` stands for 400 nines."""
    words = [given] if isinstance(given, str) else given
    return [re.sub(r"<(.) x (\d+)>", lambda m: m[1] * int(m[2]), word) for word in words]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands are given; it holds something, so that a change can be seen."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "outputs").mkdir()
    (folder / "mine.txt").write_text("mine")
    return folder


def check(answer, says, folder, before):
    refused(answer, says)
    assert not {"torch", "avalanche", "faiss", "matplotlib"} & set(answer.loaded)
    assert tree(folder) == before


@pytest.mark.parametrize(("words", "says"), EACH)
@pytest.mark.quick(14)
def test_a_wrong_command_is_one_line_and_writes_nothing(words, says, front, folder) -> None:
    before = tree(folder)
    check(front("contsemi.run:main", words_of(words), folder=folder), says, folder, before)


def started(*command, folder):
    """A process of Python that ended, and the seconds of processor time that it took."""
    env = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "PYTHONUTF8": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, *command]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cold(words, folder):
    """The same command as users give it, and what it imports, of which Python tells."""
    command = ("-X", "importtime", "-m", "contsemi.run", *(os.fsencode(w) for w in words))
    done, seconds = started(*command, folder=folder)
    lines = done.stderr.decode("utf-8", "replace").splitlines(keepends=True)
    said = "".join(line for line in lines if not line.startswith("import time:"))
    loaded = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    out = done.stdout.decode("utf-8", "replace")
    return Answer(done.returncode, 0, False, out, said, seconds, 0, 0, loaded)


def test_one_as_a_process_of_its_own(folder) -> None:
    before = tree(folder)
    answer = cold(["label_ratoi=5%"], folder)
    check(answer, "label_ratoi: unknown key; ...", folder, before)
    assert {"contsemi.run", "pydantic"} <= {*answer.loaded}


@pytest.mark.slow
def test_a_dozen_as_processes_of_their_own_do_little_beside_their_imports(folder) -> None:
    """A sweep of 72 processes: each command beside an interpreter that imports the same."""
    before, ratios = tree(folder), []
    for number in COLD:
        words = [word for word in words_of(CASES[number][0]) if "\0" not in word]
        answers = [cold(words, folder) for _ in range(3)]
        for answer in answers:
            check(answer, CASES[number][1], folder, before)
        names = sorted({*answers[0].loaded} - {"contsemi.run"})
        imports = f"for name in {names}:\n try: __import__(name)\n except ImportError: pass"
        bare = [started("-X", "importtime", "-c", imports, folder=folder)[1] for _ in range(3)]
        ratios.append(min(answer.seconds for answer in answers) / min(bare))
    print(f"\nprocessor time, in that of the imports: {[round(each, 2) for each in ratios]}")
    assert max(ratios) <= 3


@pytest.mark.slow
def test_all_of_them_without_anything_composed_before(folder) -> None:
    before = tree(folder)
    with Warm(*FRONT) as warm:
        for words, says in CASES:
            answer = warm("contsemi.run:main", words_of(words), folder=folder)
            check(answer, says, folder, before)
