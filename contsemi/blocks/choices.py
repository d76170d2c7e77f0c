"""Values of a method's keys that make no sense are answered in one line."""

from collections.abc import Sequence

from contsemi.errors import InputError


def ema_momenta(teacher: Sequence[float]) -> tuple[float, float]:
    """The key ``teacher``, a list, as :class:`~contsemi.types.Needs` has it.

    Raises:
        InputError: another number of momenta.
    """
    if len(teacher) != 2:
        raise InputError(
            "objective.teacher",
            f"expected the EMA's momentum at the start and at the end of a task, got {teacher}",
            "write for example [0.99,1.0]",
        )
    return float(teacher[0]), float(teacher[1])


def start_and_end(key: str, given: Sequence[float]) -> tuple[float, float]:
    """A key whose value changes with the task.

    Args:
        key: its name.
        given: its value, a list.

    Raises:
        InputError: another number of numbers than two.
    """
    if len(given) != 2:
        problem = f"expected two numbers, for the start and for the end, got {list(given)}"
        raise InputError(key, problem, "write both, such as [0.5,0.01]")
    return float(given[0]), float(given[1])


def enough_views(*numbers: int) -> None:
    """Refuses a view that has no other one of its image.

    Args:
        numbers: of views of each image, by kinds of images; 0 for none of a kind.

    Raises:
        InputError: there is just one.
    """
    if 1 in numbers:
        raise InputError(
            "objective.large_views or objective.labelled_views",
            "one view has no other to predict",
            "use 2 or more, or 0 for none",
        )
