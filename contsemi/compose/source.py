"""Our YAML files as Hydra's source of configurations: all folders as one tree of groups."""

from pathlib import Path
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from contsemi.compose import files, resources, suggest
from contsemi.discovery import ROOMS, SEVERAL, TOGETHER, together
from contsemi.errors import InputError

SCHEME = "contsemi"
# Groups whose files set keys of the whole configuration, whether they say so or not.
WHOLE = ("experiment", "method", "scenario")


class YamlFiles(ConfigSource):
    """Finds and reads the files of :mod:`contsemi.compose.files` for Hydra."""

    @staticmethod
    def scheme() -> str:
        """Of the paths on Hydra's search path."""
        return SCHEME

    def available(self) -> bool:
        """Whether there is anything at all."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether it is a folder with choices, or one of such folders."""
        key = config_path.strip("/").replace("/", ".")
        return not key or any(f"{g}.".startswith(f"{key}.") for g in files.groups())

    def is_config(self, config_path: str) -> bool:
        """Whether there is such a file."""
        return bool(_files(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Names of the choices of a group."""
        return files.names(config_path.strip("/").replace("/", "."))

    def load_config(self, config_path: str) -> ConfigResult:
        """One file, and the package its keys go to."""
        found = _files(config_path)
        if not found:
            raise ConfigLoadError(f"no file {config_path}.yaml")
        group, _, name = config_path.removesuffix(".yaml").strip("/").rpartition("/")
        if len(found) > 1:
            content, file = files.declared(group.replace("/", "."), name)[0], found[0]
        else:
            (file,) = found
            content = dict(files.read(file))
        defaults = _checked_defaults(file, group.replace("/", "."), content.get("defaults"))
        content |= {} if defaults is None else {"defaults": defaults}
        package = None
        if group in WHOLE:
            package = "_global_"
            if group == "method":
                content.pop("search", None)  # of contsemi.tune: no part of a run
            _refuse_choices(file, group, content)
        elif (key := group.replace("/", ".")) in ROOMS:
            content.pop("ranges", None)
            package = f"{key}.{name}" if key in SEVERAL else key
        return ConfigResult(
            config=OmegaConf.create(content),
            path=f"{SCHEME}://{file}",
            provider=self.provider,
            header={"package": package},
        )


def _files(config_path: str) -> list[Path]:
    """The file of a choice, or those of parts that work together; empty where one is missing."""
    group, _, name = config_path.removesuffix(".yaml").strip("/").rpartition("/")
    if not group:
        file = resources.conf() / f"{name}.yaml"
        return [file] if file.is_file() else []
    key = group.replace("/", ".")
    found = [files.find(key, each) for each in files.named(key, name)]
    return [file for file in found if file is not None] if None not in found else []


def _checked_defaults(file: Path, group: str, defaults: Any) -> Any:
    """A defaults list, parts that are to work together by their one name.

    Raises:
        InputError: it does; the message names the file.
    """
    where = f"{files.shown(file)}: defaults"
    if defaults is None:
        return None
    if not isinstance(defaults, list):
        raise InputError(where, "expected a list", "write one choice a line, each after '- '")
    checked: list[Any] = []
    for entry in defaults:
        checked.append(dict(entry) if isinstance(entry, dict) else entry)
        pairs = entry.items() if isinstance(entry, dict) else [(f"/{group or 'config'}", entry)]
        for key, name in pairs:
            if not isinstance(key, str) or name is None or name == "_self_":
                continue
            word = key.replace("override ", "").replace("optional ", "").strip()
            chosen = word.strip("/").replace("/", ".")
            known = files.names(chosen)
            several = name if isinstance(name, list) else files.named(chosen, str(name))
            if chosen in TOGETHER:
                checked[-1][key] = together([str(each) for each in several])
            for each in several:
                if chosen in files.groups() and each not in known:
                    near = suggest.name(str(each), known)
                    fix = suggest.did_you_mean(near, known)
                    raise InputError(where, f"unknown {chosen} {suggest.shown(each)}", fix)
                if chosen == group and each == file.stem:
                    raise InputError(where, f"{key} {each} is this file itself", "remove it")
    return checked


def _refuse_choices(file: Path, group: str, content: dict[str, Any]) -> None:
    """A choice that stands among the values would change the record, and nothing else.

    Raises:
        InputError: it does; or a method is called otherwise than its file.
    """
    where = files.shown(file)
    if group == "method" and content.get("method", file.stem) != file.stem:
        problem = f"has to be {file.stem}, as the file is called"
        raise InputError(f"{where}: method", problem, "mend the file")
    for key, value in files.keys(content):
        chooses = key in files.groups() and isinstance(value, str | list)
        if chooses and (key, group) != ("method", "method"):
            fix = f"write it under defaults as '- override /{key.replace('.', '/')}: {value}'"
            raise InputError(f"{where}: {key}", "is a choice of a file, not a value", fix)


def register() -> None:
    """Makes Hydra know the source; once is enough."""
    Plugins.instance().register(YamlFiles)
