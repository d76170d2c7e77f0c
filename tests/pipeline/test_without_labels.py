"""Streams of which the first tasks have no label: nothing is known, and nothing is made up."""

import json

import pytest

from contsemi import pipeline
from contsemi.compose import files

WORDS = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "label_ratio=[0%,4/class]")
PREDICTORS = [
    pytest.param(name, marks=[] if name == "moments" else pytest.mark.slow)
    for name in files.names("predict")
]


@pytest.mark.parametrize("predict", PREDICTORS)
@pytest.mark.thorough
def test_whatever_predicts_takes_all_classes_for_alike(predict, small, tmp_path):
    folder = tmp_path / "run"
    still = predict not in ("objective", "moments")
    words = ("method=frozen", "init.weights=null", "model=pixels") if still else ()
    config = small(*WORDS, f"predict={predict}", *words, f"output={folder}")
    results = pipeline.run(config)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    found = {(line["task"], line["name"]): line["value"] for line in lines}
    first = found[1, "calibration/negative_log_likelihood"]
    if predict != "objective":
        assert first == pytest.approx(0.6931, abs=1e-4)  # two classes
    assert results["class_incremental"]["average_accuracy"] > 0.3
