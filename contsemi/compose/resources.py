"""Where the YAML files are: ours, and in the folder ``conf/`` of every installed package."""

from functools import cache
from pathlib import Path

from contsemi.discovery import conf_folders
from contsemi.errors import InputError


@cache
def _root() -> Path:
    """Beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_resources", package.parent):
        if (folder / "conf" / "config.yaml").is_file() and (folder / "scenarios").is_dir():
            return folder
    raise InputError(
        str(package), "the folders conf/ and scenarios/ are missing", "install contsemi again"
    )


def conf() -> Path:
    """The folder of our own configuration groups.

    Raises:
        InputError: the installation lacks it.
    """
    return _root() / "conf"


def scenarios() -> Path:
    """The folder of our own scenario files, one YAML a scenario.

    Raises:
        InputError: the installation lacks it.
    """
    return _root() / "scenarios"


def folders() -> tuple[Path, ...]:
    """Every folder of groups, in the order in which a name is looked for: ours come first."""
    return (conf(), *(folder for _, folder in conf_folders()))
