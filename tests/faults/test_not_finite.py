"""Numbers that are none end the run with exit code 3 and are never saved."""

import json

import pytest
from safetensors.torch import load


def all_finite(folder):
    for path in folder.rglob("*"):
        if path.suffix == ".safetensors":
            tensors = load(path.read_bytes()).values()
            if not all(t.isfinite().all() for t in tensors if t.is_floating_point()):
                return False
        elif path.suffix in (".json", ".jsonl"):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            text = [json.dumps(json.loads(line)) for line in lines]
            if any(word in line for line in text for word in ("NaN", "Infinity")):
                return False
    return True


@pytest.mark.parametrize(
    ("plant", "step", "value", "said"),
    [
        ("loss_at", 1, "nan", "task 1, epoch 1, step 1"),
        pytest.param("loss_at", 5, "inf", "task 2, epoch 1, step 2", marks=pytest.mark.slow),
        pytest.param("loss_at", 9, "-inf", "task 3, epoch 1, step 3", marks=pytest.mark.slow),
        pytest.param("loss_at", 4, "1e30", "task 2, epoch 1, step 1", marks=pytest.mark.slow),
        pytest.param("weight_at", 1, "nan", "not finite", marks=pytest.mark.slow),
        ("weight_at", 3, "inf", "not finite"),  # the last step of a task: no loss comes after it
        pytest.param("weight_at", 9, "nan", "not finite", marks=pytest.mark.slow),
    ],
)
@pytest.mark.thorough
def test_it_stops_at_its_step(plant, step, value, said, warm, whole):
    folder = warm.folder()
    answer = warm.run(folder, plants=[[plant, {"step": step, "value": value}]])
    assert answer["code"] == 3, answer["said"]
    assert said in answer["said"]
    assert not (folder / "results.json").exists()
    assert all_finite(folder)
    if plant == "loss_at":
        assert "images [" in answer["said"]
        assert "learning rate" in answer["said"]
    assert warm.finish(folder) == whole  # the last good state is there
    warm.forget(folder)
