"""The words of ``python -m contsemi.report`` and what they do."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from contsemi.errors import InputError
from contsemi.records.finished import FinishedRun, load_run
from contsemi.report.comparison import Group, compare, comparison_tables, remarks
from contsemi.report.door import Parser
from contsemi.report.listing import listing, runs_below
from contsemi.report.paired_table import paired_tables
from contsemi.report.screen.console import Display
from contsemi.storage.atomic import storage, write_atomically
from contsemi.storage.own import refuse_others

INTERACTIVE = "interactive.html"
OURS = b'<meta name="generator" content="contsemi">'


def report(arguments: Sequence[str] | None) -> int:
    """Do what the words say."""
    given = _parser().parse_args(arguments)
    _refuse_idle(given)
    # One run, however its folder is written: it would count as two seeds.
    folders = list({folder.resolve(): folder for folder in map(_folder, given.runs)}.values())
    if given.list:
        if missing := [folder for folder in folders if not folder.is_dir()]:
            fix = "name one, or none for those below outputs/"
            raise InputError(str(missing[0]), "there is no such folder", fix)
        with Display("plain") as display:
            display.show(listing(runs_below(folders or [Path("outputs")]), display.width))
    elif not folders:
        raise InputError("RUN", "no folder is given", "name one, or --list those below outputs/")
    elif given.follow:
        _follow(folders, given.port or 0)
    else:
        _report(folders, given.output, interactive=given.interactive)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="python -m contsemi.report",
        description="Redraw the pictures and report.html of a run from its files and print its "
        "tables; with several runs, compare methods: mean ± standard deviation over seeds, and "
        "differences paired by seed.",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="output folder of a run")
    parser.add_argument(
        "--list", action="store_true", help="list the runs below the folders, or below outputs/"
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="write the comparison as a page and as PNG and SVG"
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="write interactive.html, too: charts to point at and zoom into (extra: plots)",
    )
    parser.add_argument(
        "--follow", action="store_true", help="serve the page of a run, also while it trains"
    )
    parser.add_argument("--port", type=int, help="of --follow; a free one by default")
    return parser


def _refuse_idle(given: Namespace) -> None:
    """Options that would do nothing beside others."""
    if given.port is not None and not given.follow:
        raise InputError("--port", "is of --follow", "add --follow, or leave it out")
    for leading in ("list", "follow"):
        for other in ("follow", "output", "interactive"):
            if other != leading and getattr(given, leading) and getattr(given, other):
                raise InputError(f"--{other}", f"has no effect with --{leading}", "leave one out")


def _folder(word: str) -> Path:
    """The folder of that name; a name that none can have is refused before anything looks at it."""
    try:
        Path(word).resolve().exists()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        shown = word if len(word) <= 60 else f"{word[:40]}...{word[-16:]}"
        raise InputError(shown, problem, "give the folder of a run") from error
    return Path(word)


def _report(folders: Sequence[Path], output: str | None, *, interactive: bool) -> None:
    alone = len(folders) == 1 and output is None
    if interactive and not alone and output is None:
        problem = "the page of several runs needs a folder"
        raise InputError("--interactive", problem, "give --output FOLDER")
    with Display("plain") as display:
        if alone:
            _redraw(load_run(folders[0]), display, interactive=interactive)
            return
        groups = show_comparison(folders, display)
        if output is not None:
            _refuse_others(Path(output))
            names = _write(_comparison(groups, interactive=interactive), Path(output))
            display.note(f"files in {output}: {', '.join(names)}")


def _redraw(run: FinishedRun, display: Display, *, interactive: bool) -> None:
    # Matplotlib takes half a second to import; tables do not need it.
    from contsemi.report.pages.draw import draw

    page = {}
    if interactive:
        from contsemi.report.interactive import interactive_page

        page[INTERACTIVE] = interactive_page(run)
    display.finish(run, (*draw(run), *_write(page, run.folder)))


def show_comparison(folders: Sequence[Path], display: Display) -> list[Group]:
    """Print the tables of several runs; one that is not finished is named and left out.

    Raises:
        InputError: none is finished, or a file is damaged.
    """
    runs = []
    for folder in folders:
        unfinished = folder.is_dir() and not (folder / "results.json").is_file()
        if unfinished and len(folders) > 1:
            display.note(f"{folder}: is not finished and left out")
        else:
            runs.append(load_run(folder))
    if not runs:
        raise InputError(str(folders[0]), "none of these runs is finished", "--list shows them")
    groups = compare(runs)
    for table in (
        *comparison_tables(groups, display.width),
        *paired_tables(groups, display.width),
    ):
        display.show(table)
    for remark in remarks(groups):
        display.note(remark)
    return groups


def _comparison(groups: Sequence[Group], *, interactive: bool) -> dict[str, bytes]:
    from contsemi.report.figures.comparison import drawing
    from contsemi.report.figures.drawing import pictures
    from contsemi.report.pages.comparison_page import comparison_page

    files = {"comparison.html": comparison_page(groups)} | pictures(drawing(groups))
    if interactive:
        from contsemi.report.interactive import interactive_comparison

        files[INTERACTIVE] = interactive_comparison(groups)
    return files


def _refuse_others(folder: Path) -> None:
    """The page of a comparison is not written beside, or over, what somebody else has drawn."""
    page = folder / "comparison.html"
    refuse_others(page, f"--output={folder}", OURS)
    if not page.exists() and (there := [*folder.glob("comparison.*"), *folder.glob(INTERACTIVE)]):
        problem = f"holds {there[0].name} of something else"
        raise InputError(f"--output={folder}", problem, "name another folder")


def _write(files: Mapping[str, bytes], folder: Path) -> list[str]:
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def _follow(folders: Sequence[Path], port: int) -> None:
    from contsemi.report.follow import HOST, serve

    if len(folders) > 1:
        raise InputError("--follow", f"follows one run, got {len(folders)}", "name one folder")
    with serve(folders[0], port) as server:
        print(f"http://{HOST}:{server.server_port}/  (Ctrl-C ends)", flush=True)
        server.serve_forever()
