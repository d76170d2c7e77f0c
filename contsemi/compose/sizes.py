"""One key for sides in pixels: views follow ``data.size`` unless they are given."""

from collections.abc import Collection, Mapping
from typing import Any

from contsemi.compose import files
from contsemi.compose.parts import at
from contsemi.config import Config
from contsemi.errors import InputError

SIDE, TEST = "data.size", "views.test_size"
LARGEST = 4096  # pixels of a side, as the schema has it
_WHOLE = ("experiment", "scenario", "method")


def given_by(chosen: Mapping[str, str]) -> set[str]:
    """The keys that files of the user's choice give, as if they stood on the command line.

    Args:
        chosen: group -> name. Of an experiment, a scenario or a method whose file gives sides;
            who chooses views chooses their sides.
    """
    found = [files.find(group, chosen[group]) for group in _WHOLE if group in chosen]
    own = {key for file in found if file is not None for key, _ in files.keys(files.read(file))}
    return own | {TEST} if "views" in chosen else own


def following(
    values: Mapping[str, Any], given: Collection[str], usual: Mapping[str, Any]
) -> dict[str, int]:
    """The sides of views that go with the images' where that was given, and they were not.

    All are scaled alike, so that small views stay small and a test image is cropped as before.

    Args:
        values: a composition as plain data, with all that was given.
        given: the dotted keys that were.
        usual: the same composition as its files have it.

    Returns:
        dotted key -> pixels, of those that change.
    """
    side, sides = at(values, SIDE), _sides(at(values, "views"))
    test, crop = at(usual, TEST), at(usual, "views.test_crop")
    known = isinstance(crop, int | float) and 0 < crop <= 1
    if SIDE not in given or not known or not all(map(_is_side, (side, test, *sides.values()))):
        return {}  # what is no side is refused with its own words
    before = round(test / crop)
    return {
        key: max(1, round(own * side / before))
        for key, own in sides.items()
        if key not in given and side != before
    }


def refuse_enlarged(config: Config, given: Collection[str]) -> None:
    """Refuses views of more pixels than the images are kept with, where one of both was given.

    Raises:
        InputError: two keys contradict each other.
    """
    side = config.data.size
    for key, own in _sides(config.views.model_dump()).items():
        if side is not None and own > side and ({key, SIDE} & set(given)):
            problem = f"is {own}, more pixels than the images are kept with (data.size={side})"
            whole = round(own / config.views.test_crop) if key == TEST else own
            fix = f"give data.size={whole}, which views follow"
            raise InputError(key, problem, fix)


def _sides(views: Any) -> dict[str, Any]:
    """Key -> side, of all views; of a section that is not yet checked there may be none."""
    policies = at(views, "policies")
    names = policies if isinstance(policies, Mapping) else ()
    own = {f"views.policies.{name}.size": at(policies[name], "size") for name in names}
    return own | {TEST: at(views, "test_size")}


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST
