"""What a message advises is something that the command at hand knows."""

import re
import shutil

import pytest
import torch

from contsemi import compose, pipeline
from contsemi.ask.__main__ import main as ask
from contsemi.benchmark.training import complaint
from contsemi.errors import Diverged
from contsemi.export.__main__ import main as export
from contsemi.learn.__main__ import main as learn
from contsemi.living import saved
from contsemi.predict.__main__ import main as predict
from contsemi.report.__main__ import main as report
from contsemi.storage.checkpoint import Checkpoints

READERS = {
    "predict": lambda folder, photos: predict([str(folder), str(photos)]),
    "ask": lambda folder, photos: ask([str(folder), str(photos), "--budget", "1", "--sheet", "no"]),
    "export": lambda folder, photos: export([str(folder), str(folder / "out"), "--to", "torch"]),
    "learn": lambda folder, photos: learn([str(folder), str(photos)]),
    "undo": lambda folder, photos: learn([str(folder), "--undo"]),
    "report": lambda folder, photos: report([str(folder)]),
}
KEY = re.compile(r"\b[a-z_]+(\.[a-z_]+)*=")


def each_state(folder, change):
    for file in (folder / "generations").glob("state-*"):
        change(file)


DAMAGES = {
    "every state is cut": lambda m: each_state(m, lambda f: f.write_bytes(f.read_bytes()[:99])),
    "every state is gone": lambda m: each_state(m, lambda f: f.unlink()),
    "the list is cut": lambda m: (m / "generations/MANIFEST.json").write_text("{"),
    "the list is gone": lambda m: (m / "generations/MANIFEST.json").unlink(),
    "the list is a folder": lambda m: (
        (m / "generations/MANIFEST.json").unlink(),
        (m / "generations/MANIFEST.json").mkdir(),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", READERS)
def test_advice_on_a_damaged_model_is_for_who_gets_it(
    model, photos, tmp_path, monkeypatch, capsys, damage, command
):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    DAMAGES[damage](copy)
    before = sorted(copy.rglob("*"))
    code = READERS[command](copy, photos / "second")
    said = capsys.readouterr().err.splitlines()
    assert code in (2, 4) and len(said) == 1, said
    assert not KEY.search(said[0].rpartition("; ")[2]), said  # none of these takes a key for it
    assert sorted(copy.rglob("*")) == before


@pytest.fixture(scope="module")
def finished(photos, cache, quick, tmp_path_factory):
    """The folder of a run of the same kind."""
    output = tmp_path_factory.mktemp("runs") / "run"
    root = photos / "first"
    words = ["experiment=photos", f"data.root={root}", cache, *quick, "scenario.tasks=1"]
    pipeline.run(compose.load([*words, "display=quiet", f"output={output}"]))
    return output


@pytest.mark.parametrize("command", ["predict", "ask", "export"])
@pytest.mark.parametrize(
    ("file", "code"), [("checkpoints/MANIFEST.json", 4), ("manifest.json", 2), ("state", 4)]
)
def test_so_it_is_on_a_damaged_run(
    finished, photos, tmp_path, monkeypatch, capsys, file, code, command
):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    names = copy.glob("checkpoints/state-*") if file == "state" else [copy / file]
    for each in names:
        each.write_text("{")
    assert READERS[command](copy, photos / "second") == code
    (line,) = capsys.readouterr().err.splitlines()
    advice = line.rpartition("; ")[2]
    assert not KEY.search(advice) or "python -m contsemi.run" in advice, line


def with_config(folder, **changed):
    """The model's folder with another configuration in its list."""
    states = saved.generations(folder)
    state, record = states.load()
    record["config"] |= changed
    shutil.rmtree(folder / "generations")
    saved.generations(folder).save(state, record)
    return folder


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device has to be missing")
def test_a_model_of_a_machine_with_a_gpu_answers_on_one_without(model, photos, tmp_path, capsys):
    copy = shutil.copytree(model, tmp_path / "copy")
    assert predict([str(model), str(photos / "second" / "test")]) == 0
    usual = capsys.readouterr().out
    with_config(copy, device="cuda")
    assert predict([str(copy), str(photos / "second" / "test")]) == 0
    assert capsys.readouterr().out == usual
    assert export([str(copy), str(tmp_path / "out"), "--to", "torch"]) == 0
    assert learn([str(copy), str(photos / "second")]) == 2  # it has that key
    assert "use device=cpu or device=auto" in capsys.readouterr().err
    assert learn([str(copy), str(photos / "second"), "device=cpu"]) == 0


def test_a_model_of_a_version_with_more_keys_names_one(model, photos, tmp_path, capsys):
    copy = shutil.copytree(model, tmp_path / "copy")
    with_config(copy, unheard_of=1)
    for command in ("predict", "learn"):
        assert READERS[command](copy, photos / "second") == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert "does not fit (unheard_of: Extra inputs are not permitted)" in line
        assert line.endswith("use the one that wrote it")


def test_a_part_that_is_gone_is_not_to_be_chosen_by_who_reads(model, photos, tmp_path, capsys):
    copy = shutil.copytree(model, tmp_path / "copy")
    states = saved.generations(copy)
    config = states.load()[1]["config"]
    with_config(copy, predict=config["predict"] | {"name": "theirs"})
    assert predict([str(copy), str(photos)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "theirs" in line and line.endswith("put back what the model was made with")


def test_a_lesson_that_cannot_be_saved_advises_no_rate(tmp_path):
    with pytest.raises(Diverged) as caught:
        saved.generations(tmp_path).save({"network": {"x": torch.tensor([torch.nan])}}, {})
    assert "optim" not in str(caught.value) and "photos" in str(caught.value)
    with pytest.raises(Diverged, match=r"lower optim\.lr"):
        Checkpoints(tmp_path).save({"x": torch.tensor([torch.inf])}, {})


def test_a_heap_without_a_photo_is_named_as_it_was_given(model, tmp_path, capsys):
    heap = tmp_path / "heap"
    heap.mkdir()
    (heap / "labels.csv").write_text("a.jpg,cat\n")
    assert learn([str(model), str(heap)]) == 2
    assert "scenario" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        "x/MANIFEST.json: is missing; restore the folder from a copy, or start anew with "
        "resume=never",
        "output=x: holds a run with another seed; give another output=, or start anew with "
        "resume=never",
        "x: damaged; resume=never trains anew, or set evaluate.truth=false",
    ],
)
def test_runs_of_a_benchmark_are_begun_anew_one_by_one(tmp_path, said):
    (tmp_path / "seed0.log").write_text(f"a line\nerror: {said}\n  below\n")
    first, below = complaint(tmp_path / "seed0.log")
    assert first == f"{said.split(';')[0]}; restore {tmp_path / 'seed0'} from a copy, or remove it"
    assert below == "  below"


def test_memory_that_a_command_without_keys_lacks_names_none(model, photos, monkeypatch, capsys):
    def huge(*args, **more):
        raise MemoryError("Unable to allocate 1.41 GiB for an array")

    monkeypatch.setattr("contsemi.living.model.Model.answers", huge)
    assert predict([str(model), str(photos)]) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert "batch" not in line and line.endswith("or use a larger machine")


def test_what_is_not_known_of_strangeness_advises_what_predict_knows(
    model, photos, tmp_path, capsys
):
    copy = shutil.copytree(model, tmp_path / "copy")
    state, record = saved.generations(copy).load()
    state["predictor"] = {
        name: torch.empty(0) if "strange" in name else each
        for name, each in state["predictor"].items()
    }
    shutil.rmtree(copy / "generations")
    saved.generations(copy).save(state, record)
    assert predict([str(copy), str(photos / "second"), "--unknown", "0.1"]) == 2
    assert "--unknown: " in (line := capsys.readouterr().err) and "; leave it out" in line
    assert predict([str(copy), str(photos / "second")]) == 0
