"""The choices that there are, and Hydra's composition of the chosen ones."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contsemi.compose import files, resources
from contsemi.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def choices() -> dict[str, list[str]]:
    """The names that each group offers; groups in groups have dotted keys."""
    return {group: files.names(group) for group in files.groups()}


def path(group: str) -> str:
    """A dotted group as Hydra writes it: ``memory/selection``."""
    return group.replace(".", "/")


@contextmanager
def hydra() -> Iterator[None]:
    """Hydra on our files; what a caller's own program made of Hydra comes back at the end."""
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    from contsemi.compose import source

    theirs = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        version.setbase("1.3")
        source.register()
        search = create_config_search_path(f"{source.SCHEME}://")
        Hydra.create_main_hydra2(task_name="contsemi", config_search_path=search)
        yield
    finally:
        GlobalHydra.instance().hydra = theirs


def compose(words: Sequence[str]) -> "DictConfig":
    """The composition of the chosen files, not yet resolved.

    Args:
        words: the choices, for example ``["scenario=cifar10_5tasks", "method=suave"]``; their names
            are known to exist.

    Raises:
        InputError: a YAML file is at fault.
    """
    import hydra as framework

    try:
        with hydra(), warnings.catch_warnings():
            # what it would do instead is guessing in which order files win
            warnings.filterwarnings("error", "In 'config': Defaults list is missing")
            return framework.compose("config", list(words))
    except InputError:
        raise
    except Exception as error:  # malformed defaults lists make Hydra raise anything
        where = f"the YAML files of {resources.conf().parent}"
        raise InputError(where, _reason(error), "mend the file") from error


def _reason(error: BaseException) -> str:
    """The first lines of the innermost error, which names the file and the line."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, RecursionError):
        return "the defaults of two files name each other"
    lines = [line.strip() for line in str(error).splitlines()[:4] if line.strip()]
    return "; ".join(lines) or type(error).__name__


def quoted(text: str) -> str:
    """Any text as one value of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()
