"""What the user probably meant, and how a value is shown."""

import difflib
from collections.abc import Iterable

# Names that torch and the screen have for a choice, of which another is nearer by its letters.
_OTHERWISE = {"float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def _fold(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def name(word: str, known: Iterable[str]) -> str | None:
    """The known name nearest to ``word``; case, dashes and spaces do not count."""
    folded = {_fold(choice): choice for choice in known}
    if (same := _OTHERWISE.get(_fold(word))) in folded:
        return folded[same]
    near = difflib.get_close_matches(_fold(word), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else None


def key(word: str, known: Iterable[str]) -> str | None:
    """The full dotted key nearest to ``word``.

    A key given without its section is found too: ``epochs`` means ``optim.epochs``.
    """
    folded = {_fold(choice): choice for choice in sorted(known)}
    word = _fold(word)
    if word in folded:
        return folded[word]
    last = word.rpartition(".")[2]
    near = difflib.get_close_matches(word, folded, n=1, cutoff=0.7)
    if not near and (same := [c for c in folded if c.rpartition(".")[2] == last]):
        near = difflib.get_close_matches(word, same, n=1, cutoff=0.0)
    if not near:
        leaves = {choice.rpartition(".")[2]: choice for choice in folded}
        ends = difflib.get_close_matches(last, leaves, n=1, cutoff=0.6)
        near = [leaves[ends[0]]] if ends else []
    near = near or difflib.get_close_matches(word, folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def did_you_mean(near: str | None, known: Iterable[str]) -> str:
    """The remedy: the nearest name, or the list where nothing is near."""
    if near is not None:
        return f"did you mean {near}?"
    names = sorted(known)
    return f"choose one of {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"


def shown(value: object) -> str:
    """A value for one line of print: quoted where it is text, at most 40 characters."""
    text = (
        "null" if value is None else str(value).lower() if value is True or value is False else ""
    )
    if not text:
        try:
            text = repr(value)
        except ValueError:  # an int of more digits than Python is willing to print
            text = "a very long number"
    return text if len(text) <= 40 else f"{text[:37]}..."


def bare(word: str) -> str:
    """A word of the command line, as it is where that cannot be misread."""
    return word if word.isprintable() and " " not in word and 0 < len(word) <= 40 else shown(word)


def path(given: str) -> str:
    """A path for one line of print: its end, where it is long, and no odd characters."""
    text = given if given.isprintable() else ascii(given)[1:-1]
    return text if len(text) <= 200 else f"...{text[-197:]}"
