"""Where the YAML files are: beside the package in a checkout, inside it in a wheel."""

from functools import cache
from pathlib import Path

from contsemi.errors import InputError

__all__ = ["conf", "scenarios"]


@cache
def _root() -> Path:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_resources", package.parent):
        if (folder / "conf" / "config.yaml").is_file() and (folder / "scenarios").is_dir():
            return folder
    raise InputError(
        str(package), "the folders conf/ and scenarios/ are missing", "install contsemi again"
    )


def conf() -> Path:
    """The folder of the configuration groups.

    Raises:
        InputError: the installation lacks it.
    """
    return _root() / "conf"


def scenarios() -> Path:
    """The folder of the scenario files, one YAML a scenario.

    Raises:
        InputError: the installation lacks it.
    """
    return _root() / "scenarios"
