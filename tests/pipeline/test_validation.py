"""Runs whose test is a part of their own labels: which labels they know, and what they leave."""

import pytest

from contsemi import pipeline
from contsemi.pipeline import opening

RUN = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "label_ratio=4/class")


def pixels(images, rows):
    return {images[row].numpy().tobytes() for row in rows}


@pytest.mark.thorough
def test_a_trial_knows_no_label_that_the_run_does_not(small, tmp_path, monkeypatch):
    streams, tests, real = [], [], opening.build

    def seen(scenario, budget, train, test, *args, **given):
        streams.append(real(scenario, budget, train, test, *args, **given))
        tests.append(test)
        return streams[-1]

    monkeypatch.setattr(opening, "build", seen)
    for number, words in enumerate(((), ("scenario.validation=0.25",))):
        pipeline.run(small(*RUN, *words, f"output={tmp_path / str(number)}"))
    reported, trial = (pixels(each.images, each.label_indices) for each in streams)
    out = pixels(tests[1].images, range(len(tests[1])))
    assert (len(trial), len(out), len(reported)) == (12, 4, 16)
    assert trial | out == reported


@pytest.mark.thorough
def test_rows_of_the_images_that_are_left_are_no_list_for_others(small, tmp_path):
    words = (*RUN, "labels=kcenter", "scenario.validation=0.25")
    pipeline.run(small(*words, f"output={tmp_path}"))
    assert (tmp_path / "results.json").exists()
    assert not (tmp_path / "labels.txt").exists()
