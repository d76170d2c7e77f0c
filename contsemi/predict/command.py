"""The words of ``python -m contsemi.predict`` and what they do."""

import sys
from collections.abc import Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.report.door import Parser
from contsemi.storage.own import refuse_others

_TOO_FEW = "note: --unknown {:g} is less than the labelled photos can tell; {:.2g} is kept to"
_MOST = 10_000  # classes that an answer names: a table has two columns for each


def predict(arguments: Sequence[str] | None) -> int:
    """Say what photos are of."""
    given = _parser().parse_args(arguments)
    if not 1 <= given.top <= _MOST:
        raise InputError("--top", f"is {given.top}", f"ask for 1 to {_MOST} classes")
    if given.csv is not None and given.json:
        raise InputError("--json", "and --csv are both given", "leave one out")
    table = None if given.csv is None else Path(given.csv).expanduser().resolve()
    if table is not None:
        refuse_others(table, "--csv", b"file,class_1,confidence_1,")
    from contsemi.devices.precision import choose_device
    from contsemi.living.model import load
    from contsemi.living.photos import found
    from contsemi.pipeline.work import fix_threads
    from contsemi.predict.answers import answers
    from contsemi.predict.forms import as_json, as_lines, as_table

    paths, model = found(given.photos), load(given.run)
    fix_threads(model.saved.config, choose_device(model.saved.config.device))
    limit = None if given.unknown is None else model.limit(given.unknown)
    if given.unknown is not None and given.unknown < model.least_share:
        print(_TOO_FEW.format(given.unknown, model.least_share), file=sys.stderr)
    rows = answers(model, paths, top=given.top, limit=limit)
    if table is not None:  # what a link names, not the link
        as_table(rows, table, given.top)
    elif given.json:
        as_json(rows)
    else:
        as_lines(rows)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="python -m contsemi.predict", description="Says what photos are of.")
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a model")
    parser.add_argument("photos", metavar="FILE|FOLDER|-", help="- reads names from the input")
    parser.add_argument("--top", type=int, default=1, metavar="N", help="so many classes of each")
    parser.add_argument("--csv", metavar="FILE", help="write a table instead of lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object a photo")
    help_unknown = "say unknown to what is stranger than all but this share of known photos"
    parser.add_argument("--unknown", type=float, metavar="P", help=help_unknown)
    return parser
