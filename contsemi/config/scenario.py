"""The keys of a stream of tasks."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from contsemi.config.values import Count, Probability, Section


def _whole(shares: dict[str, float]) -> dict[str, float]:
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"expected shares that sum to 1, got {sum(shares.values()):g}")
    return shares


_Shares = AfterValidator(_whole)


class Scenario(Section):
    """A stream of tasks: a pure description, independent of method, machine and folder."""

    name: str = Field(description="name of the scenario, part of every record")
    dataset: Literal["digits", "cifar10", "cifar100", "folder"] = Field(
        description="which images: bundled digits, CIFAR, or the class folders of data.root"
    )
    tasks: Count | None = Field(description="number of tasks of equal size; null with task_classes")
    classes: Count | list[int | str] | None = Field(
        description="use the first N classes, or those named; null for all"
    )
    class_order: Literal["id", "shuffled"] | list[int | str] = Field(
        description="order of arrival: by id, shuffled by order_seed, or a list of ids or names"
    )
    order_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(
        description="seed of a shuffled class order; null takes the run's seed"
    )
    task_classes: list[int] | list[list[int | str]] | None = Field(
        description="sizes of the tasks, or the classes of each; null for equal tasks"
    )
    labels: str | None = Field(
        description="file of labelled image indices, one a line (frozen list); null draws them"
    )
    label_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(
        description="seed of the label draw; null takes the run's seed"
    )
    unlabelled: (
        Literal["current", "seen", "folder"]
        | Annotated[dict[Literal["current", "past", "future", "foreign"], Probability], _Shares]
    ) = Field(
        description="unlabelled pool: the current task's images, all seen so far, another folder, "
        "or shares of current, past, future and foreign images that sum to 1"
    )
    unlabelled_share: Annotated[float, Field(gt=0, le=1)] = Field(
        description="share of each task's unlabelled images in use, drawn once (NNCSL: 0.5)"
    )
    unlabelled_root: str | None = Field(
        description="folder of images for unlabelled=folder and foreign images, digits for the "
        "bundled ones; null takes classes that are not in use"
    )
    recurrence: Probability | list[list[int | str]] | None = Field(
        default=None,
        description="classes that return: how probably each earlier one does in each task, or "
        "those of each task; null for none",
    )
    novel: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of the classes that never get a label, drawn by order_seed"
    )
    blur: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="share of a class's images that come a task early or late, half of them each",
    )
    hierarchy: str | None = Field(
        default=None,
        description="YAML file of coarse classes, each with the names of its classes; null takes "
        "those that the images come with",
    )
    lists: str | None = Field(
        default=None,
        description="folder with classes.txt, labelled.txt, unlabelled.txt: a line an experience",
    )
    first_tasks: Count | None = Field(
        default=None,
        description="learn only so many of the tasks, to choose settings; null for all",
    )
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="share of each class's labels that is taken out of training and tested on in "
        "place of the test images, to choose settings",
    )
