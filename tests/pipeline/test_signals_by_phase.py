"""A signal ends a run with its own code in every phase, and no file is blamed for it."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from contsemi.pipeline.signals import WATCHED
from contsemi.run import main

PHASES = {
    "images are decoded": "contsemi.data.sources.decoding.decode",
    "the cache is written": "contsemi.data.sources.cache.fingerprint",
    "the stream is made": "contsemi.data.scenario.plan",
    "networks are made": "contsemi.learner.parts.build_backbone",
    "features are computed": "contsemi.learner.forward.Embedder.__call__",
    "the memory takes a task in": "contsemi.learner.learner.remember",
    "a task is evaluated": "contsemi.pipeline.account.evaluate",
    "figures are drawn": "contsemi.report.figures.drawing.pictures",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for split, number in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(number):
                pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture
def command(photos, tmp_path):
    return [
        "scenario=image_folder",
        "views=digits",
        "data.size=8",
        f"data.root={photos}",
        f"data.cache={tmp_path / 'cache'}",
        "data.workers=1",
        "model.width=4",
        "optim.epochs=1",
        "label_ratio=2/class",
        "batch.unlabelled=8",
        "evaluate.embeddings=0",
        "precision=fp32",
        "device=cpu",
        "threads=1",
        "display=quiet",
        f"output={tmp_path / 'run'}",
    ]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.thorough
def test_it_ends_with_one_line_and_goes_on(phase, command, monkeypatch, capsys, tmp_path):
    number = WATCHED[list(PHASES).index(phase) % len(WATCHED)]
    where = PHASES[phase]
    module, _, name = where.rpartition(".")
    real = _at(where)
    sent = []

    def stopped(*args, **options):
        if not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, stopped)
        code = main(command)
    assert sent, f"{module}.{name} was not called"
    said = capsys.readouterr().err
    assert code == 128 + number, said
    assert said.splitlines() == [
        f"error: stopped by signal {int(number)}; the same command goes on from here"
    ]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert main(command) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "results.json").is_file()


def _at(path):
    import importlib

    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(path)
