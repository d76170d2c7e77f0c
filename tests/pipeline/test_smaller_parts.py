"""Device memory that runs out in a step: smaller parts, the same batch, as often as five times."""

import gc
import json
import weakref

import pytest
import torch

from contsemi import pipeline
from contsemi.errors import OutOfDeviceMemory, StepTooLarge
from contsemi.learner.learner import Learner
from contsemi.models.network import Network
from contsemi.pipeline.smaller_parts import with_smaller_parts
from contsemi.records.results import without_timings
from contsemi.storage.checkpoint import Checkpoints

PARTS = ("forward", "loss", "backward")
RUN = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=3", "memory.embeddings=30")


@pytest.fixture
def start(small, monkeypatch):
    """Runs two tasks without the pictures."""
    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])

    def run(folder, *words):
        return pipeline.run(small(*RUN, *words, f"output={folder}"))

    return run


@pytest.fixture
def plant(monkeypatch):
    """Lets memory run out in one method of a class, from its ``first`` call on."""

    def run_out(owner, name, first=0, times=1, when=lambda *args: True):
        real, count = getattr(owner, name), [0]

        def planted(self, *args, **kwargs):
            if when(self, *args):
                count[0] += 1
                if first < count[0] <= first + times:
                    real(self, *args, **kwargs)  # whatever it changes stays changed
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, planted)

    return run_out


def in_training(network, images, heads):
    return network.training


def rows(folder):
    return (folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    "part", ["update", *(pytest.param(p, marks=pytest.mark.slow) for p in PARTS)]
)
@pytest.mark.thorough
def test_a_run_that_meets_it_at_once_is_the_run_with_two_pieces(part, start, plant, tmp_path):
    expected = start(tmp_path / "two", "batch.pieces=2")
    plant(Learner, part)
    found = start(tmp_path / "halved")
    assert found["pieces"] == expected["pieces"] == 2
    assert without_timings(found) == without_timings(expected)
    assert rows(tmp_path / "halved") == rows(tmp_path / "two")
    assert json.loads((tmp_path / "halved" / "results.json").read_text())["pieces"] == 2


@pytest.mark.thorough
def test_later_it_goes_on_from_the_last_saved_state(start, plant, tmp_path, capsys):
    plant(Network, "forward", first=9, when=in_training)
    found = start(tmp_path, "checkpoint.seconds=1e-6", "display=plain")
    assert found["pieces"] == 2
    said = capsys.readouterr()
    assert "goes on from the last saved state, each step in 2 pieces" in said.out + said.err
    steps = [json.loads(line) for line in rows(tmp_path).splitlines()]
    keys = [(row["step"], row["task"], row["name"]) for row in steps]
    assert len(set(keys)) == len(keys)  # nothing of the failed attempt is left


@pytest.mark.thorough
def test_resume_never_does_not_throw_away_what_this_run_has_saved(start, plant, tmp_path):
    begun = []
    plant(Learner, "backward", first=4)
    real = Learner.begin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "begin", lambda *args: (begun.append(args[1].index), real(*args)))
        start(tmp_path, "checkpoint.seconds=1e-6", "resume=never")
    assert begun == [0, 1]


@pytest.mark.thorough
def test_a_resumed_run_keeps_the_size(start, plant, tmp_path):
    plant(Network, "forward", when=in_training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contsemi.pipeline.account.evaluate", stop)
        with pytest.raises(Stopped):
            start(tmp_path)
    manifest = json.loads((tmp_path / "checkpoints" / "MANIFEST.json").read_text())
    saved = Checkpoints(tmp_path / "checkpoints", manifest["body"]["run"]).load()
    assert saved is not None
    assert saved[1]["pieces"] == 2
    assert start(tmp_path)["pieces"] == 2


class Stopped(Exception):
    """Stands for a kill."""


def stop(*args, **options):
    raise Stopped


@pytest.mark.thorough
def test_after_five_halvings_it_ends(start, plant, tmp_path):
    plant(Network, "forward", times=100, when=in_training)
    with pytest.raises(OutOfDeviceMemory, match="in 32 pieces, after 5 halvings; lower") as caught:
        start(tmp_path)
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)


def test_outside_of_a_step_nothing_is_halved(start, tmp_path, monkeypatch):
    calls = []

    def full(*args, **options):
        calls.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("contsemi.pipeline.account.evaluate", full)
    with pytest.raises(OutOfDeviceMemory, match=r"batch\.test"):
        start(tmp_path)
    assert len(calls) == 1


@pytest.mark.thorough
def test_nothing_of_a_failed_attempt_is_alive_in_the_next():
    class Step:
        """Stands for tensors on the device."""

    alive, seen = [], []

    def attempt(pieces):
        seen.append((pieces, [step() for step in alive]))
        step = Step()
        alive.append(weakref.ref(step))
        if len(seen) < 3:
            try:
                raise torch.OutOfMemoryError
            except torch.OutOfMemoryError as error:
                raise StepTooLarge("cuda", pieces) from error
        return "done"

    gc.disable()
    try:
        assert with_smaller_parts(attempt, 3, lambda text: None) == "done"
    finally:
        gc.enable()
    assert seen == [(3, []), (6, [None]), (12, [None, None])]


def test_without_a_pipeline_the_error_says_what_to_set():
    assert "give batch.pieces=8, or lower batch.unlabelled" in str(StepTooLarge("cuda", 4))
    assert "on one of 2 ranks" in str(StepTooLarge("cuda", 4, 2))
