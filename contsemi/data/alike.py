"""Classes whose names are one but for what a reader hardly sees: two folders of one class."""

from collections.abc import Sequence
from unicodedata import normalize


def alike(names: Sequence[str], fix: str, *, known: int = 0) -> list[str]:
    """What is to be said of names that differ in case, blanks or compatible characters alone.

    Args:
        names: of classes.
        fix: what to do if two are one.
        known: so many of the first were there before, and are not told of.
    """
    said = []
    first: dict[str, str] = {}
    for place, name in enumerate(names):
        plain = " ".join(normalize("NFKC", name).casefold().split())
        if (other := first.setdefault(plain, name)) != name and place >= known:
            said.append(f"{name!r} and {other!r} are two classes: if they are one, {fix}")
    return said
