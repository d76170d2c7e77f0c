"""The command: ``python -m contsemi.ask MODEL PHOTOS --budget N``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.living.command import Parser, carried_out

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Chooses the photos most worth a label; returns the exit code."""
    return carried_out(_ask, argv)


def _ask(argv: Sequence[str]) -> None:
    parser = Parser(
        "python -m contsemi.ask",
        description="Chooses the photos most worth a label and writes a page to give it on.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a model, or of a run")
    parser.add_argument("photos", metavar="PHOTOS", help="folder of photos without labels")
    parser.add_argument("--budget", type=int, required=True, metavar="N", help="photos to ask for")
    parser.add_argument("--by", default="kmeans", metavar="NAME", help="policy of conf/labels/")
    parser.add_argument("--sheet", default="ask.html", metavar="FILE", help="the page to write")
    given = parser.parse_args(argv)
    if given.budget < 1:
        raise InputError("--budget", f"is {given.budget}", "ask for at least one photo")
    from contsemi.devices.precision import choose_device
    from contsemi.living.asking import ask
    from contsemi.living.model import load
    from contsemi.pipeline.work import fix_threads
    from contsemi.storage.atomic import write_atomically
    from contsemi.storage.own import refuse_others

    page = Path(given.sheet).expanduser()
    if not page.parent.is_dir():
        raise InputError(f"--sheet={page}", "its folder is not there", "name another file")
    refuse_others(page, "--sheet", b"<title>Which class?</title>")
    model, photos = load(given.model), Path(given.photos).expanduser()
    fix_threads(model.saved.config, choose_device(model.saved.config.device))
    names, content = ask(model, photos, given.budget, given.by)
    write_atomically(page, content)
    for name in names:
        print(name)
    print(f"open {page}, give classes, and save labels.csv into {photos}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
