"""The words of ``python -m contsemi.ask`` and what they do."""

import sys
from collections.abc import Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.report.door import Parser
from contsemi.storage.own import refuse_others

SIGN = b"<title>Which class?"  # in every page of ours


def ask(arguments: Sequence[str] | None) -> int:
    """Choose the photos most worth a label, and write the page to give it on."""
    given = _parser().parse_args(arguments)
    if given.budget < 1:
        raise InputError("--budget", f"is {given.budget}", "ask for at least one photo")
    page, photos = Path(given.sheet).expanduser().resolve(), Path(given.photos).expanduser()
    if not page.parent.is_dir():
        raise InputError(f"--sheet={page}", "its folder is not there", "name another file")
    refuse_others(page, "--sheet", SIGN)
    from contsemi.ask.choosing import chosen
    from contsemi.ask.sheet import sheet
    from contsemi.data.sources.listing import relative
    from contsemi.devices.precision import choose_device
    from contsemi.living.label_list import labels_beside
    from contsemi.living.model import load
    from contsemi.pipeline.work import fix_threads
    from contsemi.storage.atomic import write_atomically

    model = load(given.model)
    fix_threads(model.saved.config, choose_device(model.saved.config.device))
    asked = chosen(model, photos, given.budget, given.by)
    write_atomically(page, sheet(photos, asked, model.classes, labels_beside(photos)))
    for path, _ in asked:
        print(relative(photos, path))
    print(f"open {page}, give classes, and save labels.csv into {photos}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m contsemi.ask",
        description="Chooses the photos most worth a label and writes a page to give it on.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a model, or of a run")
    parser.add_argument("photos", metavar="PHOTOS", help="folder of photos without labels")
    parser.add_argument("--budget", type=int, required=True, metavar="N", help="photos to ask for")
    parser.add_argument("--by", default="kmeans", metavar="NAME", help="policy of conf/labels/")
    parser.add_argument("--sheet", default="ask.html", metavar="FILE", help="the page to write")
    return parser
