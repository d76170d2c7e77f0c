"""The words of ``python -m contsemi.export`` and what they do."""

from collections.abc import Sequence
from pathlib import Path

from contsemi.report.door import Parser


def export(arguments: Sequence[str] | None) -> int:
    """Write a model in a form for others."""
    parser = Parser(
        prog="python -m contsemi.export", description="Writes a model for others to use."
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a model")
    parser.add_argument("folder", metavar="FOLDER", help="a new folder")
    what = "one file from pixels to probabilities, or weights as safetensors"
    parser.add_argument("--to", choices=("onnx", "torch"), required=True, help=what)
    given = parser.parse_args(arguments)
    from contsemi.export.writing import write
    from contsemi.living.model import load

    for file in write(load(given.run), Path(given.folder).expanduser(), given.to):
        print(file)
    return 0
