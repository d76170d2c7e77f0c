"""What docs/your_own_method.md says is what happens: its method trains, resumes and predicts."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from contsemi import discovery
from contsemi.compose import argv, expand
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "your_own_method.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def learner(small, stream_of, tmp_path, monkeypatch):
    """A learner of the page's method with distillation, at the beginning of the second task."""
    source = next(text for kind, text in BLOCKS if kind == "python")
    (tmp_path / "nnclr.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import nnclr

    find = discovery.find_module
    monkeypatch.setattr(
        discovery, "find_module", lambda *name: nnclr if "nnclr" in name else find(*name)
    )
    section = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml"))
    config = small("optim.epochs=2", "distiller=nnd", "precision=fp32")
    config = config.model_copy(update={"objective": section})
    stream, _ = stream_of(config)

    def make(trained=True):
        made = Learner(config)
        if trained:
            fit(made, stream.experiences[0], stream.images)
            made.begin(stream.experiences[1], stream.images)
        return made

    return make, stream


def test_it_learns_and_predicts(learner):
    make, stream = learner
    trained = make()
    names = set()
    for i in range(6):
        loss, terms = trained.loss(trained.forward(trained.batch(0, i % trained.steps_per_epoch)))
        names |= terms.keys()
        assert loss.isfinite()
        trained.backward(loss)
        trained.update()
    assert names == {"neighbours", "labels", "distillation"}
    assert trained.predict(stream.images[:3]).shape == (3, 4)


def test_it_goes_on_from_its_state(learner):
    make, stream = learner
    trained = make()
    trained.loss(trained.forward(trained.batch(0, 0)))  # something is stored
    again = make(trained=False)
    again.restore(trained.state(), stream.experiences[1], stream.images, trained.step_in_task)
    losses = [each.loss(each.forward(each.batch(0, 1)))[0] for each in (trained, again)]
    assert torch.equal(*losses)


def test_it_bears_a_batch_without_a_kind_of_rows(learner):
    trained = learner[0]()
    batch = trained.batch(0, 0)
    for names, left in (
        (("labelled", "labels", "from_memory", "labelled_ids"), {"neighbours"}),
        (("unlabelled", "unlabelled_ids"), {"labels"}),
    ):
        fewer = replace(batch, **{name: getattr(batch, name)[:0] for name in names})
        loss, terms = trained.loss(trained.forward(fewer))
        assert loss.isfinite() and terms.keys() - {"distillation"} == left


def test_its_commands_are_right_ones():
    commands = [
        shlex.split(line.replace("objective=nnclr", "objective=byol"))[3:]
        for kind, text in BLOCKS
        if kind == "bash"
        for line in text.splitlines()
        if line.startswith("python -m contsemi.run")
    ]
    assert commands
    for words in commands:
        assert expand(argv.split(words).tokens)


def test_its_keys_have_ranges():
    from contsemi.config import RANGES

    section = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml"))
    assert section.keys() - {"name"} <= RANGES.keys()


def test_its_links_exist():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in target]
    assert targets
    assert [target for target in targets if not (PAGE.parent / target).exists()] == []
