"""Which classes a scenario uses, in which order they arrive and in which task."""

from collections.abc import Sequence
from difflib import get_close_matches
from unicodedata import normalize

from contsemi.config import Scenario
from contsemi.errors import InputError, first_of

MOST_TASKS = 5  # of a scenario that leaves the number of tasks open


def task_classes(scenario: Scenario, names: Sequence[str], seed: int) -> list[list[int]]:
    """Class ids of each task, in order of arrival.

    Args:
        scenario: its ``classes``, ``class_order``, ``tasks`` and ``task_classes`` are read. With
            neither ``tasks`` nor ``task_classes``, up to five tasks of at least two classes are
            made, as equal as possible.
        names: name of each class id of the dataset.
        seed: the run's seed, used where ``order_seed`` is null.

    Raises:
        InputError: these do not make a partition of at least two classes.
    """
    lists = _lists(scenario, names)
    if lists is not None:
        return lists
    used = _used(scenario.classes, names)
    order = _ordered(scenario, used, names, seed)
    sizes = _sizes(scenario, len(order))
    starts = [sum(sizes[:task]) for task in range(len(sizes))]
    return [order[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _used(classes: int | Sequence[int | str] | None, names: Sequence[str]) -> list[int]:
    """Ids of the classes in use, ascending."""
    key, total = "scenario.classes", len(names)
    if classes is None:
        used = list(range(total))
    elif isinstance(classes, int):
        if classes > total:
            raise InputError(key, f"{classes} of {total} classes", f"give at most {total}")
        used = list(range(classes))
    else:
        used = sorted(resolve(classes, names, key))
    if len(used) < 2:
        raise InputError(key, f"{len(used)} class in use", "at least two are needed")
    return used


def _ordered(scenario: Scenario, used: Sequence[int], names: Sequence[str], seed: int) -> list[int]:
    """The classes in use in their order of arrival."""
    key, order = "scenario.class_order", scenario.class_order
    if order == "id":
        return list(used)
    if order == "shuffled":
        import torch  # not before it is needed: a wrong scenario is answered at once

        from contsemi.seeding import generator

        order_seed = seed if scenario.order_seed is None else scenario.order_seed
        shuffle = torch.randperm(len(used), generator=generator(order_seed, "class_order"))
        return [used[i] for i in shuffle.tolist()]
    resolved = resolve(order, names, key)
    for position, entry in enumerate(resolved):
        if entry not in used:
            problem = f"entry {position} is {names[entry]!r}, which is not in use"
            raise InputError(key, problem, "add it to scenario.classes or drop it here")
    if missing := [entry for entry in used if entry not in resolved]:
        fix = "add them, or set scenario.classes to the ones you want"
        raise InputError(key, f"lacks {_listed(missing, names)} of the classes in use", fix)
    return resolved


def _sizes(scenario: Scenario, total: int) -> list[int]:
    """Classes per task."""
    tasks, sizes = scenario.tasks, scenario.task_classes
    if sizes is not None:
        given = [int(size) for size in sizes if isinstance(size, int)]
        key = "scenario.task_classes"
        for position, size in enumerate(given):
            if size < 1:
                raise InputError(key, f"entry {position} is {size}", "give at least 1 to each task")
        if sum(given) != total:
            summed = " + ".join(map(str, given)) if len(given) <= 20 else "the sizes"
            problem = f"{summed} = {sum(given)} classes, but {total} are in use"
            raise InputError(key, problem, f"make them sum to {total}, or set scenario.classes")
        _agree(tasks, len(given))
        return given
    if tasks is None:
        tasks = max(1, min(MOST_TASKS, total // 2))
    elif tasks > total:
        problem = f"{tasks} tasks for {total} classes"
        raise InputError("scenario.tasks", problem, f"give at most {total}")
    elif total % tasks:
        even = [n for n in range(1, total + 1) if total % n == 0]
        problem = f"{total} classes do not divide into {tasks} equal tasks"
        unequal = ",".join(map(str, _spread(total, tasks)))  # no blanks: a shell splits there
        spread = f"scenario.tasks=null scenario.task_classes=[{unequal}]"
        fix = f"give one of {even}" + (f", or {spread}" if tasks <= 20 else "")
        raise InputError("scenario.tasks", problem, fix)
    return _spread(total, tasks)


def _lists(scenario: Scenario, names: Sequence[str]) -> list[list[int]] | None:
    """The tasks where the scenario names the classes of each, else ``None``."""
    key, given = "scenario.task_classes", scenario.task_classes
    if given is None or (given and all(isinstance(entry, int) for entry in given)):
        return None
    tasks = [entry for entry in given if not isinstance(entry, int)]
    for position, entries in enumerate(tasks):
        if not entries:
            raise InputError(key, f"task {position} is empty", "name at least one class for it")
    if scenario.class_order != "id":
        problem = "names the classes of each task, and scenario.class_order is set too"
        raise InputError(key, problem, "choose one: set scenario.class_order=id")
    if not tasks:
        raise InputError(key, "the list is empty", "give the sizes or the classes of the tasks")
    flat = resolve([entry for entries in tasks for entry in entries], names, key)
    _agree(scenario.tasks, len(tasks))
    used = sorted(flat) if scenario.classes is None else _used(scenario.classes, names)
    if len(used) < 2:
        raise InputError(key, f"{len(used)} class in use", "at least two are needed")
    if odd := sorted(set(flat) ^ set(used)):
        problem = f"does not match scenario.classes at {_listed(odd, names)}"
        raise InputError(key, problem, "name each class in use once, or set scenario.classes=null")
    rest = iter(flat)
    return [[next(rest) for _ in entries] for entries in tasks]


def _agree(tasks: int | None, given: int) -> None:
    if tasks is not None and tasks != given:
        problem = f"{tasks} tasks, but scenario.task_classes has {given}"
        raise InputError("scenario.tasks", problem, f"set scenario.tasks={given} or null")


def resolve(entries: Sequence[int | str], names: Sequence[str], key: str) -> list[int]:
    """Class ids of ids or names, in the given order, each at most once.

    Where classes are called by numbers, a bare number is the class of that name, never a position:
    who made the folders 1, 2 and 3 knows of no ids.
    """
    by_name = {same_name(name): number for number, name in enumerate(names)}
    ids = all(name == str(number) for number, name in enumerate(names))  # then it is the same
    numbered = not ids and any(_reads_as_number(name) for name in names)
    first: dict[int, int] = {}
    for position, entry in enumerate(entries):
        if isinstance(entry, int) and not numbered:
            number: int | None = entry if 0 <= entry < len(names) else None
            problem, fix = f"class {entry} is out of range", f"ids are 0 to {len(names) - 1}"
        else:
            number = by_name.get(same_name(str(entry)))
            problem, fix = f"no class is named {str(entry)[:60]!r}", _meant(entry, names)
        if number is None:
            raise InputError(key, f"entry {position}: {problem}", fix)
        if number in first:
            problem = f"class {names[number]!r} stands at positions {first[number]} and {position}"
            raise InputError(key, problem, "name each class once")
        first[number] = position
    return list(first)


def same_name(name: str) -> str:
    """A class's name in one Unicode form: what a keyboard types and a disk stores may differ."""
    return normalize("NFC", name)


def _reads_as_number(name: str) -> bool:
    """Whether a shell or a YAML file would take the name for a number."""
    try:
        float(name.replace("_", ""))
    except ValueError:
        return False
    return name.isascii()


def _meant(entry: int | str, names: Sequence[str]) -> str:
    """What to write instead of an entry that is no class's name."""
    if isinstance(entry, int):
        alike = [name for name in names if _reads_as_number(name) and float(name) == entry]
        if alike:
            return f"classes are called by numbers here: write it quoted, as in \"'{alike[0]}'\""
    close = get_close_matches(str(entry), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the dataset has {first_of(names, 5, ', ')}"


def _spread(total: int, tasks: int) -> list[int]:
    """``total`` classes over ``tasks``, as equal as possible, larger ones first."""
    return [total // tasks + (task < total % tasks) for task in range(tasks)]


def _listed(classes: Sequence[int], names: Sequence[str]) -> str:
    return first_of([repr(names[number]) for number in classes], 5, ", ")
