"""The command: ``python -m contsemi.learn MODEL PHOTOS [key=value ...]``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.living.command import Parser, carried_out

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Teaches a model the classes of a folder of photos; returns the exit code."""
    return carried_out(_learn, argv)


def _parser() -> Parser:
    parser = Parser(
        "python -m contsemi.learn",
        description="Teaches a model the classes of a folder of photos: a folder a class, or any "
        "folder with a labels.csv. The first lesson makes the model; later ones add to it.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model")
    parser.add_argument("photos", metavar="PHOTOS", nargs="?", help="folder of the photos")
    help_words = "label_ratio=4/class, labels=FILE; for the first lesson all keys of a run"
    parser.add_argument("words", metavar="key=value", nargs="*", help=help_words)
    parser.add_argument("--undo", action="store_true", help="take the last lesson back")
    return parser


def _learn(argv: Sequence[str]) -> None:
    given = _parser().parse_args(argv)
    folder = Path(given.model).expanduser()
    if given.undo:
        if given.photos is not None:
            raise InputError("--undo", f"takes no {given.photos}", "leave it out")
        from contsemi.living.teaching import undo

        left = undo(folder)
        print(f"the last lesson is taken back; {left} left")
        return
    if given.photos is None:
        raise InputError("PHOTOS", "is missing", "name a folder of photos")
    words, labels = list(given.words), None
    for word in given.words:
        if "=" not in word:
            raise InputError(word, "is not key=value", "write label_ratio=4/class, for example")
        if word.startswith("labels="):
            labels = Path(word.removeprefix("labels=")).expanduser()
            words.remove(word)
    from contsemi.living.card import lessons
    from contsemi.living.teaching import teach

    taught = teach(folder, Path(given.photos).expanduser(), words, labels=labels)
    for remark in taught.remarks:
        print(f"note: {remark}")
    print(lessons(taught.history))


if __name__ == "__main__":
    sys.exit(main())
