"""What the README says is what happens: its commands compose, its code runs, its links exist."""

import re
import shlex
from pathlib import Path

import pytest

from contsemi.compose import argv, expand
from contsemi.errors import InputError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[3:]
    for kind, text in BLOCKS
    if kind == "bash"
    for line in text.splitlines()
    if line.startswith("python -m contsemi.run") and "objective=entropy" not in line  # below
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.quick(8)
def test_every_command_is_a_right_one(words, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = argv.split(words)
    if arguments.action == "run":
        assert expand(arguments.tokens, multirun=arguments.multirun)


def test_the_error_shown_is_the_error():
    shown = re.search(r"\$ python -m contsemi.run (.*)\nerror: (.*)", README)
    with pytest.raises(InputError, match=re.escape(shown[2])):
        expand(argv.split(shlex.split(shown[1])).tokens)


def test_the_avalanche_script_is_the_tested_one():
    script = (ROOT / "tests/strategies/pipeline.py").read_text(encoding="utf-8")
    assert ("python", script) in BLOCKS


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_own_method(small, stream_of, tmp_path, monkeypatch):
    """The class and the YAML of the README, as a file of another package would bring them."""
    import yaml

    from contsemi import discovery
    from contsemi.learner.learner import Learner
    from contsemi.learner.loop import fit

    source = next(text for kind, text in BLOCKS if kind == "python" and "class Entropy" in text)
    section = next(text for kind, text in BLOCKS if kind == "yaml")
    (tmp_path / "entropy.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import entropy

    find = discovery.find_module
    monkeypatch.setattr(
        discovery, "find_module", lambda *name: entropy if "entropy" in name else find(*name)
    )
    config = small("optim.epochs=1", "distiller=none")
    config = config.model_copy(update={"objective": yaml.safe_load(section)})
    stream, _ = stream_of(config)
    learner = Learner(config)
    monkeypatch.undo()
    fit(learner, stream.experiences[0], stream.images)
    assert learner.predict(stream.images[:3]).shape == (3, 2)
