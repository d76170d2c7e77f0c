"""The schema by itself: every key is explained, marked and closed."""

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from contsemi.config import EFFECTS, Config
from contsemi.config.scenario import Scenario
from contsemi.config.values import DeviationRgb, Interval, Section


def keys(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key below a model, with its dotted name; sections in lists and mappings too."""
    for name, field in model.model_fields.items():
        yield f"{before}{name}", field
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from keys(inner, f"{before}{name}.")


KEYS = dict(keys(Config))
POOL = Scenario.model_fields["unlabelled"].annotation


def test_the_schema_is_walked_to_its_leaves() -> None:
    assert {"optim.lr", "views.policies.jitter.hue", "scenario.unlabelled"} <= KEYS.keys()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_explained_in_one_line_and_its_effect_is_known(name: str) -> None:
    said, mark = KEYS[name].description, KEYS[name].json_schema_extra
    assert said and "\n" not in said and not said.endswith(".")
    assert mark is None or (isinstance(mark, dict) and mark["effect"] in EFFECTS[1:])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Interval, [0.2, 0.2], [0.3, 0.2]),
        (Interval, [0.1, 1.0], [0.1]),
        (DeviationRgb, [1.0, 1.0, 1e-6], [1.0, 1.0, 0.0]),
        (
            POOL,
            {"past": 0.5, "foreign": 0.5},
            {"past": 0.5},
        ),
        (POOL, "seen", {"elsewhere": 1.0}),
    ],
)
def test_values_that_have_to_agree(kind: type, good: object, bad: object) -> None:
    assert TypeAdapter(kind).validate_python(good) == good
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(bad)
