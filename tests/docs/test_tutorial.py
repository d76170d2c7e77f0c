"""What docs/your_own_method.md says is what happens: its method trains, resumes and predicts."""

import json
import re
import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from contsemi import discovery
from contsemi.compose import argv, expand
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.loop import fit
from contsemi.run import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "your_own_method.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The page's package, as ``pip install -e .`` makes it known."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    for kind, text in BLOCKS:
        if kind in ("python", "yaml"):
            file = tmp_path / re.match("# (.*)", text)[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    project = tomllib.loads(next(text for kind, text in BLOCKS if kind == "toml"))["project"]
    info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in names.items())
        for group, names in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    known = (discovery.offering, discovery.conf_folders)
    for each in known:
        each.cache_clear()
    yield tmp_path
    for each in known:
        each.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.fixture
def learner(small, stream_of, mine):
    """A learner of the page's method with distillation, at the beginning of the second task."""
    config = small("objective=nnclr", "distiller=nnd", "optim.epochs=2", "precision=fp32")
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
        (("labels", "labelled_ids"), {"neighbours"}),
        (("unlabelled_ids", "places"), {"labels"}),
    ):
        fewer = replace(batch, **{name: getattr(batch, name)[:0] for name in names})
        loss, terms = trained.loss(trained.forward(fewer))
        assert loss.isfinite() and terms.keys() - {"distillation"} == left


def commands():
    lines = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith("python -m contsemi.run")]


def test_its_commands_are_right_ones(mine):
    assert len(commands()) == 3
    for words in commands():
        assert expand(argv.split(words).tokens)


@pytest.mark.thorough
def test_every_kind_of_part_runs(mine, capsys):
    assert {room for room in discovery.ROOMS.values() if f"`{room}`" in TEXT} == {
        room for room in discovery.ROOMS.values() if room != "strategies.baselines"
    }
    words = [*commands()[-1], "optim.epochs=1", "display=plain", f"output={mine / 'run'}"]
    words = [word.replace("labels=stratified", "labels=first_come") for word in words]
    words[words.index("label_ratio=20%")] = "label_ratio=100%"  # of which it takes the first
    assert main(words) == 0, capsys.readouterr().err
    names = {json.loads(line)["name"] for line in (mine / "run" / "metrics.jsonl").open("rb")}
    assert {"loss/neighbours", "loss/labels", "loss/still", "probe/norms"} <= names


def test_a_key_out_of_its_range_is_one_line(mine):
    with pytest.raises(InputError, match=r"objective.bank: expected a whole number from 1 to"):
        expand(argv.split(["objective=nnclr", "objective.bank=0"]).tokens)


def test_its_links_exist():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in target]
    assert targets
    assert [target for target in targets if not (PAGE.parent / target).exists()] == []
