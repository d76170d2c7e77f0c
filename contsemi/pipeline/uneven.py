"""A note where a method shares images out evenly among classes that are not of one size."""

from contsemi.blocks.pseudo_rules import ALIGNING
from contsemi.config import Config
from contsemi.data.scenario import Stream
from contsemi.labels import LabelBudget

_DRAWN = ("random", "stratified")  # so that labels are divided among classes as images are
_FACTOR = 3  # of the largest class of a task to its smallest, from which on even shares mislead


def uneven(config: Config, stream: Stream) -> tuple[str, ...]:
    """What a user should know of the sizes of the classes; nothing where they matter little.

    Training knows no more than before: sizes are those of the stream's records.

    Args:
        config: the run.
        stream: its tasks.
    """
    objective = config.objective
    if objective.get("prior") != "even" or objective.get("rule", ALIGNING[0]) not in ALIGNING:
        return ()
    worst, task, most, least = float(_FACTOR), 0, 0, 0
    for number, facts in enumerate(stream.facts):
        sizes = [facts["images"][column] for column in stream.experiences[number].columns]
        if sizes and max(sizes) >= worst * max(min(sizes), 1):
            task, most, least = number + 1, max(sizes), min(sizes)
            worst = most / max(least, 1)
    if not task:
        return ()
    # Labels of a share are divided as the images are; so many of each class say nothing of that.
    budget = LabelBudget.parse(config.label_ratio).for_tasks(len(stream.experiences))[task - 1]
    known = budget.ratio and config.labels["name"] in _DRAWN and config.scenario.labels is None
    prior = "labels" if known and not objective.get("clusters") else "estimated"
    return (
        f"classes of task {task} have {least} to {most} images, and {config.method} uses all "
        f"evenly: objective.prior={prior} uses them as they are",
    )
