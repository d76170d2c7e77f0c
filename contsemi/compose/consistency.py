"""What can be known wrong of several keys together, before torch is imported or an image read."""

import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contsemi.compose import suggest
from contsemi.config import Config, Scenario
from contsemi.data.classes import task_classes
from contsemi.data.names import NAMES
from contsemi.discovery import parts_of
from contsemi.errors import InputError

_FOLDERS = ("torchvision", "parquet", "folder", "shards")  # sources that need data.root
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)

_MOST_EXEMPLARS = 1_000_000_000


def check(config: Config) -> None:
    """Refuses what does not go together.

    Raises:
        InputError: one line for the first thing that is wrong.
    """
    _check_tasks(config)
    _check_parts(config)
    _check_learning(config)
    _check_truth(config)
    _check_output(config.output)
    _check_root(config)
    _check_file("init.weights", config.init.weights, "name a file of weights")
    hierarchy = config.scenario.hierarchy
    _check_file("scenario.hierarchy", hierarchy, "name a YAML file of coarse classes")
    _check_file("scenario.labels", config.scenario.labels, "name a file of image rows, one a line")
    if config.scenario.lists is not None:
        _check_lists(config.scenario)
    pool = config.scenario.unlabelled_root
    if pool is not None and isinstance(config.scenario.unlabelled, dict):
        _check_foreign(pool)
    if config.scenario.unlabelled == "folder" and pool != "digits":
        if pool is None:
            problem = "is required by scenario.unlabelled=folder"
            raise InputError("scenario.unlabelled_root", problem, "name a folder")
        _check_foreign(pool)
    _kind("data.cache", config.data.cache or "")


def _check_foreign(pool: str) -> None:
    """A folder of images, or the bundled digits."""
    if pool != "digits" and (kind := _kind("scenario.unlabelled_root", pool)) != "folder":
        problem = f"{kind or 'no such folder'}: {suggest.path(pool)}"
        raise InputError("scenario.unlabelled_root", problem, "name a folder of images")


def _check_lists(scenario: Scenario) -> None:
    """Lists say which classes and images come when, and nothing else does beside them."""
    assert scenario.lists is not None
    if (kind := _kind("scenario.lists", scenario.lists)) != "folder":
        problem = f"{kind or 'no such folder'}: {suggest.path(scenario.lists)}"
        raise InputError("scenario.lists", problem, "name a folder with classes.txt")
    beside = {
        "task_classes": scenario.task_classes is not None,
        "class_order": scenario.class_order != "id",
        "classes": scenario.classes is not None,
        "recurrence": scenario.recurrence is not None,
        "labels": scenario.labels is not None,
    }
    if given := [key for key, is_given in beside.items() if is_given]:
        problem = "has no effect, as scenario.lists says which classes come when"
        raise InputError(f"scenario.{given[0]}", problem, "leave one out")


def _check_tasks(config: Config) -> None:
    from contsemi.labels.budget import LabelBudget

    scenario = config.scenario
    tasks, sizes = scenario.tasks, scenario.task_classes
    if tasks is not None and sizes is not None and tasks != len(sizes):
        raise InputError(
            "scenario.task_classes",
            f"{len(sizes)} tasks are listed, but scenario.tasks={tasks}",
            "add scenario.tasks=null",
        )
    if config.method == "joint_semi" and tasks != 1:
        problem = (
            f"has all classes at once, and scenario.tasks is {'null' if tasks is None else tasks}"
        )
        raise InputError("method=joint_semi", problem, "set scenario.tasks=1, or leave it out")
    budget = LabelBudget.parse(config.label_ratio)
    if scenario.validation and (scenario.labels or scenario.lists or budget.per_task):
        problem = "takes labels out of a drawn budget, and here each label is listed, or each task"
        raise InputError("scenario.validation", f"{problem} has its own", "set it to 0")
    if count := len(sizes) if sizes else tasks:  # with neither, the images decide
        budget.for_tasks(count)
        if scenario.first_tasks is not None and scenario.first_tasks > count:
            problem = f"is {scenario.first_tasks}, and the stream has {count} tasks"
            raise InputError("scenario.first_tasks", problem, "lower it, or leave it null")
    _check_classes(scenario)


def _check_classes(scenario: Scenario) -> None:
    """The classes of each task, where their names are known without an image."""
    if scenario.lists is not None:
        return  # checked when they are read
    names = NAMES.get(scenario.dataset)
    if names is None:
        known, tasks = scenario.classes, scenario.tasks
        classes = len(known) if isinstance(known, list) else known
        if classes is not None and tasks is not None and tasks > classes:
            problem = f"{tasks} tasks of {classes} classes"
            raise InputError("scenario.tasks", problem, "ask for fewer")
        return
    if scenario.class_order == "shuffled":  # which order it is makes no difference here
        scenario = scenario.model_copy(update={"class_order": "id"})
        if any(isinstance(task, list) for task in scenario.task_classes or ()):
            return  # refused with its own words, when the images are there
    task_classes(scenario, names, seed=0)


def _check_parts(config: Config) -> None:
    """A method learns by an objective of ours, or by a strategy of Avalanche alone."""
    baseline, objective = config.baseline["name"], config.objective["name"]
    if config.objective.get("predict_by") == "neighbours" and not config.memory.exemplars:
        raise InputError(
            "memory.exemplars",
            "is 0, and objective.predict_by=neighbours predicts from exemplars",
            "keep some, or set objective.predict_by=classifier",
        )
    if objective == "known" and config.predict["name"] == "objective":
        problem = "known trains nothing and has no scores of its own"
        raise InputError("predict", problem, "write predict=moments, or another but objective")
    if config.labels.get("warmup") and config.model.get("frozen"):
        problem = "the network is frozen (model.frozen=true) and learns nothing from a warm-up"
        raise InputError("labels.warmup", problem, "set it to 0, or model.frozen=false")
    if baseline == objective == "none":
        problem = "none is for the strategies of Avalanche"
        raise InputError("objective", problem, "write objective=NAME, or method=NAME")
    _check_backgrounds(config)
    if baseline == "none":
        return
    for key, name in (("objective", objective), ("distiller", config.distiller["name"])):
        if name != "none":
            problem = f"{baseline} learns by itself, and {key}={name} would have no effect"
            raise InputError("baseline", problem, f"write method={baseline}, without {key}=")
    if config.batch.pieces > 1:
        problem = f"{baseline} is a strategy of Avalanche, whose batches are not split"
        raise InputError("batch.pieces", problem, "leave it at 1, or lower batch.unlabelled")
    if config.compile != "none":
        problem = f"{baseline} is a strategy of Avalanche, whose networks are not compiled"
        raise InputError("compile", problem, "use compile=none")


def _check_truth(config: Config) -> None:
    """The panel of truth is about class moments, of pools whose true classes have columns."""
    if not config.evaluate.truth:
        return
    scenario, key = config.scenario, "evaluate.truth"
    if config.predict["name"] != "moments" or config.is_baseline:
        problem = f"is about class moments, and {config.method} predicts otherwise"
        raise InputError(key, problem, "add predict=moments, or set it to false")
    apart = scenario.lists, scenario.recurrence, scenario.blur, scenario.novel
    if scenario.unlabelled != "current" or any(apart):
        problem = "is about tasks whose unlabelled images are their own"
        raise InputError(key, problem, "set it to false, or choose a stream without a wild pool")


def _check_backgrounds(config: Config) -> None:
    changing = [name for name, crop in config.views.policies.items() if crop.background != "none"]
    if changing and config.is_baseline:
        problem = "is a strategy of Avalanche, whose views keep their background"
        fix = f"use views.policies.{changing[0]}.background=none"
        raise InputError(f"baseline={config.baseline['name']}", problem, fix)


def refuse_unread(config: Config, given: Sequence[str]) -> None:
    """Refuses a key of the command line that another key makes void.

    What a strategy of Avalanche does not read is refused in ``unread.py``.

    Args:
        config: checked.
        given: the keys, choices among them.

    Raises:
        InputError: the first of them that would have no effect.
    """
    for key in given:
        pool = config.scenario.unlabelled
        foreign = pool == "folder" if isinstance(pool, str) else pool.get("foreign", 0) > 0
        if key == "scenario.unlabelled_root" and not foreign:
            shown = pool if isinstance(pool, str) else "{...}, which has no foreign images"
            problem = f"has no effect with scenario.unlabelled={shown}"
            raise InputError(key, problem, "add scenario.unlabelled=folder, or a share of foreign")
        if key == "scenario.dataset":
            problem = f"is what scenario {config.scenario.name} is of, and would go by its name"
            raise InputError(key, problem, "choose a scenario of that dataset, or write one")
        if key in ("scenario.name", "views.name"):
            group = key.removesuffix(".name")
            problem = f"is how the file is called, and {group}.* stays as it is"
            raise InputError(key, problem, f"choose another file: {group}=NAME")
        chooses = key in ("labels", "scenario.label_seed") or key.startswith("labels.")
        if chooses and (listed := _lists_labels(config.scenario)):
            problem = f"has no effect, as {listed} lists the labelled images"
            raise InputError(key, problem, "leave one out")


def _lists_labels(scenario: Scenario) -> str | None:
    """The key whose file says which images are labelled."""
    if scenario.labels is not None:
        return "scenario.labels"
    from contsemi.data.lists import LABELLED  # with numpy, which the front has no other use for

    listed = scenario.lists and (Path(scenario.lists).expanduser() / LABELLED).is_file()
    return "scenario.lists" if listed else None


def _check_learning(config: Config) -> None:
    """Refuses what cannot learn, or what has nothing to work with."""
    distillers = parts_of(config.distiller)
    sections = (config.objective, *distillers.values())
    weights = [w for section in sections for w in section.get("weights", {}).values()]
    if weights and not any(weights):
        problem = "no term of the loss has a weight above 0, so that nothing is learned"
        raise InputError("objective.weights", problem, "give one of them a weight")
    if config.memory.exemplars > _MOST_EXEMPLARS:
        problem = f"is {config.memory.exemplars:.3g}, more images than there are"
        raise InputError("memory.exemplars", problem, f"give at most {_MOST_EXEMPLARS}")
    optim = config.optim
    if optim.lr < optim.final_lr:
        problem = f"is {optim.lr:g}, below optim.final_lr={optim.final_lr:g}: the rate would rise"
        raise InputError("optim.lr", problem, "lower optim.final_lr, too, or raise it")
    if optim.nesterov and not (optim.name == "sgd" and optim.momentum):
        problem = f"is for SGD with momentum, not {optim.name} with {optim.momentum:g}"
        raise InputError("optim.nesterov", problem, "set it to false, or optim.name=sgd")
    for name, section in distillers.items():
        _check_rows(f"distiller.{name}" if len(distillers) > 1 else "distiller", section, config)


def _check_rows(key: str, section: Mapping[str, Any], config: Config) -> None:
    """Refuses a distiller that asks the embedding memory for rows that it does not keep."""
    rows, asked = config.memory.embeddings, section.get("neighbours", 0)
    if isinstance(asked, int) and asked > rows:
        problem = f"is {asked}, but memory.embeddings keeps {rows} rows"
        raise InputError(f"{key}.neighbours", problem, f"set memory.embeddings={asked} or more")
    if section.get("whole") and not rows:
        problem = "lets all rows vote, but memory.embeddings keeps none"
        raise InputError(f"{key}.whole", problem, "set memory.embeddings above 0")


def _kind(key: str, given: str) -> str:
    """What lies at a path: ``folder``, ``a file``, ``not a file``, or nothing (empty).

    Raises:
        InputError: it cannot be looked at, or begins with the home of nobody.
    """
    try:
        mode = Path(given).expanduser().stat().st_mode
    except RuntimeError:
        problem = f"{suggest.shown(given)} begins with the home of a user who is not here"
        raise InputError(key, problem, "write the whole path") from None
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:  # too long, a loop of links, or no right to look
        problem = f"{suggest.path(given)} cannot be read ({error.strerror})"
        raise InputError(key, problem, "give another path") from None
    if stat.S_ISDIR(mode):
        return "folder"
    return "a file" if stat.S_ISREG(mode) else "not a file"


def _check_file(key: str, given: str | None, fix: str) -> None:
    if given is None:
        return
    kind = _kind(key, given)
    if kind != "a file":
        problem = {"": "no such file", "folder": "is a folder"}.get(kind, kind)
        raise InputError(key, f"{problem}: {suggest.path(given)}", fix)


def _check_output(output: str | None) -> None:
    if output is None:
        return
    if scheme := re.match(r"[a-z][a-z0-9+.-]+://", output, re.IGNORECASE):
        problem = f"{scheme.group()} is no folder of this machine"
        raise InputError("output", problem, "give a folder; copy it afterwards")
    kind, path = _kind("output", output), Path(output).expanduser()
    if kind == "folder" and path.resolve() == Path("/"):
        raise InputError("output", "is the root of the file system", "name a folder of its own")
    fix = "give another output="
    if kind not in ("folder", ""):
        raise InputError(f"output={suggest.path(output)}", "is not a folder", fix)
    if not kind and path.is_symlink():
        raise InputError(f"output={suggest.path(output)}", "is a link to nothing", fix)
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                problem = f"cannot be made: {suggest.path(str(parent))} is not a folder"
                raise InputError(f"output={suggest.path(output)}", problem, fix)
            break


def _check_root(config: Config) -> None:
    root, source = config.data.root, config.data.source["name"]
    if config.scenario.dataset == "digits" and source in _FOLDERS:
        raise InputError("data.source", f"{source} holds no digits", "use source=auto")
    if config.scenario.dataset == "digits" and root is not None and source in ("auto", "bundled"):
        problem = f"has no effect on {config.scenario.name}, whose digits are bundled"
        raise InputError("data.root", problem, "add scenario=image_folder")
    if root is None:
        if config.scenario.dataset == "folder" and source in ("auto", *_FOLDERS):
            raise InputError("data.root", "is required", "write data.root=FOLDER with your images")
        return
    kind = _kind("data.root", root)
    hub = _HUB_ID.fullmatch(root) and source in ("auto", "parquet")
    if not (kind or config.data.download or hub):
        fix = "name the folder of the images"
        raise InputError("data.root", f"no such folder: {suggest.path(root)}", fix)
    if kind not in ("", "folder"):
        problem = f"is {kind}" if kind == "a file" else "is not a folder"
        raise InputError(f"data.root={suggest.path(root)}", problem, "give the folder it is in")
