"""The command: ``python -m contsemi.export RUN FOLDER --to onnx|torch``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from contsemi.living.command import Parser, carried_out

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a model in a form for others; returns the exit code."""
    return carried_out(_export, argv)


def _export(argv: Sequence[str]) -> None:
    parser = Parser("python -m contsemi.export", description="Writes a model for others to use.")
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a model")
    parser.add_argument("folder", metavar="FOLDER", help="a new folder")
    what = "one file from pixels to probabilities, or weights as safetensors"
    parser.add_argument("--to", choices=("onnx", "torch"), required=True, help=what)
    given = parser.parse_args(argv)
    from contsemi.living.exporting import export
    from contsemi.living.model import load

    for file in export(load(given.run), Path(given.folder).expanduser(), given.to):
        print(file)


if __name__ == "__main__":
    sys.exit(main())
