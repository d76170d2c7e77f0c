"""Keys whose values are words: a method takes all that its YAML allows, and no other is let in."""

import re

import pytest
from omegaconf import OmegaConf

from contsemi import compose
from contsemi.compose import resources
from contsemi.errors import InputError
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective


def words():
    """Method, key, and the words that its file allows."""
    for path in sorted((resources.conf() / "objective").glob("*.yaml")):
        ranges = OmegaConf.to_container(OmegaConf.load(path)).get("ranges", {})
        for key, allowed in ranges.items():
            if isinstance(allowed, list) and all(isinstance(each, str) for each in allowed):
                yield pytest.param(path.stem, key, allowed, id=f"{path.stem} {key}")


WORDS = list(words())
# What a key has an effect with.
BESIDE = {("fixmatch", "prior"): ["objective.rule=gaussian"]}


def test_there_are_such_keys():
    assert len(WORDS) >= 25


@pytest.mark.parametrize(("name", "key", "allowed"), WORDS)
@pytest.mark.quick(1)
def test_all_that_are_allowed_build(name, key, allowed):
    said = set()
    for word in allowed:
        beside = BESIDE.get((name, key), [])
        config = compose.load([f"objective={name}", f"objective.{key}={word}", *beside])
        objective, _ = build_part(config.objective, Objective)
        said.add(getattr(objective, key))
    assert said == set(allowed)


@pytest.mark.parametrize(("name", "key", "allowed"), WORDS)
@pytest.mark.quick(2)
def test_others_are_refused_before_a_method_is_made(name, key, allowed):
    line = f"objective.{key}: expected one of {', '.join(allowed)}, got 'nobody'"
    with pytest.raises(InputError, match=re.escape(line)):
        compose.load([f"objective={name}", f"objective.{key}=nobody"])
