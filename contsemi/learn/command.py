"""The words of ``python -m contsemi.learn`` and what they do."""

from collections.abc import Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.report.door import Parser

_LIST = "labels="


def learn(arguments: Sequence[str] | None) -> int:
    """Teach a model the classes of a folder of photos, or take the last lesson back."""
    given = _parser().parse_args(arguments)
    folder = Path(given.model).expanduser()
    if given.undo:
        if given.photos is not None:
            raise InputError("--undo", f"takes no {given.photos}", "leave it out")
        from contsemi.learn.teaching import undo

        undone = undo(folder)
        for remark in undone.remarks:
            print(f"note: {remark}")
        print(f"the last lesson is taken back; {len(undone.history)} left")
        return 0
    if given.photos is None:
        raise InputError("PHOTOS", "is missing", "name a folder of photos")
    if bad := [word for word in given.words if "=" not in word]:
        raise InputError(bad[0], "is not key=value", "write label_ratio=4/class, for example")
    lists = [word.removeprefix(_LIST) for word in given.words if word.startswith(_LIST)]
    if len(lists) > 1:
        problem = f"is given twice ({lists[0]} and {lists[1]})"
        raise InputError("labels", problem, "leave one out, or join the two files")
    if lists == [""]:
        raise InputError("labels", "names no file", "leave it out, or name one")
    labels = Path(lists[0]).expanduser() if lists else None
    words = [word for word in given.words if not word.startswith(_LIST)]
    from contsemi.learn.teaching import teach
    from contsemi.living.card import lessons

    taught = teach(folder, Path(given.photos).expanduser(), words, labels=labels)
    for remark in taught.remarks:
        print(f"note: {remark}")
    print(lessons(taught.history))
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m contsemi.learn",
        description="Teaches a model the classes of a folder of photos: a folder a class, or any "
        "folder with a labels.csv. The first lesson makes the model; later ones add to it.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of the model")
    parser.add_argument("photos", metavar="PHOTOS", nargs="?", help="folder of the photos")
    help_words = "label_ratio=4/class or labels=FILE; for the first lesson also keys of its model"
    parser.add_argument("words", metavar="key=value", nargs="*", default=[], help=help_words)
    parser.add_argument("--undo", action="store_true", help="take the last lesson back")
    return parser
