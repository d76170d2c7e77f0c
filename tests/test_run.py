import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import contsemi
from contsemi import compose, errors
from contsemi.config import Config
from contsemi.run import main

ROOT = Path(__file__).resolve().parents[1]
Pipeline = Callable[[Callable[[Config], None]], None]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Puts a function in the place of a run."""

    def put(run: Callable[[Config], None]) -> None:
        module = types.ModuleType("contsemi.pipeline")
        module.run = lambda config, given=None: run(config)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "contsemi.pipeline", module)
        monkeypatch.setattr(contsemi, "pipeline", module, raising=False)

    return put


def test_a_run_gets_its_configuration_and_a_folder(pipeline: Pipeline) -> None:
    seen: list[Config] = []
    pipeline(seen.append)
    assert main(["seed=3", "method=suave"]) == 0
    assert main(["output=some where"]) == 0
    assert main(["output=~/runs"]) == 0
    assert (seen[0].seed, seen[0].method) == (3, "suave")
    expected = compose.run_name(compose.load(["seed=3", "method=suave"]))
    assert seen[0].output == str(expected)
    assert seen[1].output == "some where"
    assert seen[2].output == str(Path.home() / "runs")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("data.root", "no\nimages", "name another"), 2),
        (errors.Diverged("loss is nan"), 3),
        (errors.StateDamaged("checkpoint"), 4),
        (errors.StorageFailed("disk full"), 5),
        (errors.OutOfDeviceMemory("too small"), 6),
        (errors.Interrupted(signal.SIGTERM), 143),
    ],
)
@pytest.mark.quick(2)
def test_an_error_of_ours_is_one_line_and_its_exit_code(
    error: errors.ContsemiError,
    code: int,
    pipeline: Pipeline,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(config: Config) -> None:
        raise error

    pipeline(run)
    assert main([]) == code
    captured = capfd.readouterr().err
    assert captured.startswith("error: ")
    assert captured.count("\n") == 1


def test_an_interrupt_is_quiet_and_a_bug_shows_its_traceback(
    pipeline: Pipeline, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(config: Config) -> None:
        raise KeyboardInterrupt

    def bug(config: Config) -> None:
        raise RuntimeError("a bug of ours")

    pipeline(interrupted)
    assert main([]) == 130
    assert capfd.readouterr().err == ""
    pipeline(bug)
    assert main([]) == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=basic"]])
@pytest.mark.thorough
def test_a_sweep_makes_every_run_in_its_own_folder_and_tells_of_a_failure(
    launcher: list[str],
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[Config] = []

    def run(config: Config) -> None:
        seen.append(config)
        if config.seed == 0:
            raise errors.Diverged("loss is nan")

    pipeline(run)
    words = ["label_ratio=5%,20%", "seed=0,1", "data.cache='some, where'", *launcher]
    assert main(["-m", *words]) == 3
    assert [(c.label_ratio, c.seed) for c in seen] == [
        ("5%", 0),
        ("5%", 1),
        ("20%", 0),
        ("20%", 1),
    ]
    assert len({c.output for c in seen}) == 4
    assert {c.data.cache for c in seen} == {"some, where"}
    assert seen[1].output == str(compose.run_name(compose.load(["seed=1"])))
    assert capfd.readouterr().err.count("error: loss is nan\n") == 2
    assert list(tmp_path.iterdir()) == []


def test_one_bad_value_of_a_sweep_starts_nothing(pipeline: Pipeline) -> None:
    seen: list[Config] = []
    pipeline(seen.append)
    assert main(["-m", "seed=0,1,2,-3"]) == 2
    assert seen == []


def test_a_signal_ends_a_sweep(pipeline: Pipeline) -> None:
    seen: list[Config] = []

    def run(config: Config) -> None:
        seen.append(config)
        raise errors.Interrupted(signal.SIGTERM)

    pipeline(run)
    assert main(["-m", "seed=0,1"]) == 143
    assert len(seen) == 1


def test_help_version_and_configuration_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("label_ratio=", "cifar100_10tasks", "pixel_knn", "python -m contsemi.run -m"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"contsemi {contsemi.__version__}\n"
    assert main(["--cfg", "job", "seed=5"]) == 0
    assert "\nseed: 5\n" in capsys.readouterr().out
    assert main(["--cfg", "job", "sede=5"]) == 2


# A run that only tells about its process, in a process of its own.
STUB = """
import os, sys, types
module = types.ModuleType("contsemi.pipeline")
def run(config, given=None):
    print(os.getpid(), os.environ.get("MALLOC_MMAP_THRESHOLD_"), os.environ.get("OMP_NUM_THREADS"),
          sys.flags.utf8_mode, config.seed, sys.stdin.read(), "torch" in sys.modules)
    from contsemi.errors import Diverged
    raise Diverged("told")
module.run = run
sys.modules["contsemi.pipeline"] = module
"""


def _process(folder: Path, *words: str, **extra: str) -> tuple[int, list[str], int]:
    (folder / "sitecustomize.py").write_text(STUB)
    env = {k: v for k, v in os.environ.items() if "MALLOC" not in k and k != "CONTSEMI_NO_REEXEC"}
    env |= {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **extra}
    process = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-m", "contsemi.run", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=folder,
        text=True,
    )
    out, err = process.communicate("typed")
    assert err == "error: told\n"
    return process.pid, out.split(), process.returncode


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's thresholds are of Linux")
@pytest.mark.thorough
def test_the_process_starts_itself_again_with_the_faster_allocator(tmp_path: Path) -> None:
    pid, told, code = _process(tmp_path, "seed=4", "threads=1")
    assert told == [str(pid), str(2**33), "1", "1", "4", "typed", "False"]
    assert code == 3


@pytest.mark.parametrize(
    ("variable", "value"), [("CONTSEMI_NO_REEXEC", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")]
)
def test_the_process_stays_as_the_user_set_it(tmp_path: Path, variable: str, value: str) -> None:
    pid, told, _ = _process(tmp_path, "seed=4", **{variable: value})
    expected = value if variable.startswith("MALLOC") else "None"
    assert told[:2] == [str(pid), expected]


def test_nobody_reading_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "contsemi.run", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [1, 2])
@pytest.mark.quick(1)
def test_a_closed_stream_is_no_error(closed: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STUB)
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = f'exec "{sys.executable}" -m contsemi.run seed=4 {closed}>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        check=False,
        input=b"",
    )
    assert done.returncode == 3
    assert done.stderr == (b"error: told\n" if closed == 1 else b"")
