"""The YAML files: which choices there are, and Hydra's composition of the chosen ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contsemi.compose import resources
from contsemi.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["choices", "compose", "hydra", "quoted"]


def choices() -> dict[str, list[str]]:
    """The names that each group offers, as the YAML files in its folder."""
    folders = {folder.name: folder for folder in resources.conf().iterdir() if folder.is_dir()}
    folders["scenario"] = resources.scenarios()
    return {
        group: sorted(file.stem for file in folder.glob("*.yaml"))
        for group, folder in sorted(folders.items())
    }


@contextmanager
def hydra() -> Iterator[None]:
    """Hydra on our folders; what a caller's own program made of Hydra comes back at the end."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    theirs = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(resources.conf()), job_name="contsemi", version_base="1.3"):
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
    from omegaconf import OmegaConf

    try:
        _register_scenarios()
        with hydra():
            config = framework.compose("config", list(words))
        _refuse_code(OmegaConf.to_container(config, resolve=False))
    except InputError:
        raise
    except Exception as error:  # malformed defaults lists make Hydra raise anything
        where = f"the YAML files of {resources.conf().parent}"
        raise InputError(where, _reason(error), "mend the file") from error
    return config


def _register_scenarios() -> None:
    """Hands the scenario files to Hydra: they stand beside conf/, where it does not look."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    for file in resources.scenarios().glob("*.yaml"):
        node = OmegaConf.load(file)
        store.store(name=file.stem, node=node, group="scenario", package="_global_")


def _refuse_code(node: Any, path: str = "") -> None:
    """Configuration is data: it names no callable and reads no environment variable."""
    items: Any = ()
    if isinstance(node, Mapping):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    elif isinstance(node, str) and "${" in node and ":" in node.partition("${")[2]:
        raise InputError(path, f"resolvers such as {node} are not supported", "write the value")
    for key, value in items:
        if str(key).startswith("_") and str(key).endswith("_"):
            raise InputError(f"{path}.{key}".lstrip("."), "is not supported", "remove it")
        _refuse_code(value, f"{path}.{key}".lstrip("."))


def _reason(error: BaseException) -> str:
    """The first lines of the innermost error, which names the file and the line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines()[:4] if line.strip()]
    return "; ".join(lines) or type(error).__name__


def quoted(text: str) -> str:
    """Any text as one value of Hydra's grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()
