"""The networks of a step run over its views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.devices.gathering import gather_outputs
from contsemi.devices.ranks import Ranks
from contsemi.learner.forward import run_groups
from contsemi.learner.viewing import Viewed
from contsemi.types import Forward, Needs, Outputs, Seen, View


@dataclass(frozen=True, slots=True)
class Looks:
    """Who sees which views, by name: made once, as every step asks.

    All names are in the order of a batch, in which mixed views follow those that they are made of.

    Attributes:
        views: all of them.
        heads: to evaluate.
        guesses: what the student sees without gradient.
        lessons: what it learns from.
        teacher: what the teacher sees, the unlabelled rows first.
        pasts: what the frozen networks see.
    """

    views: Mapping[str, View]
    heads: tuple[str, ...]
    guesses: tuple[str, ...]
    lessons: tuple[str, ...]
    teacher: tuple[str, ...]
    pasts: tuple[str, ...]

    @staticmethod
    def of(needs: Needs) -> "Looks":
        """Those of a method."""
        views = dict(sorted(needs.views.items(), key=lambda each: each[1].mix is not None))
        student = {name: view.gradient for name, view in views.items() if "student" in view.seen_by}
        teacher = [name for name, view in views.items() if "teacher" in view.seen_by]
        return Looks(
            views=views,
            heads=needs.head_names,
            guesses=tuple(name for name, learned in student.items() if not learned),
            lessons=tuple(name for name, learned in student.items() if learned),
            teacher=tuple(sorted(teacher, key=lambda name: views[name].rows != "unlabelled")),
            pasts=tuple(name for name, view in views.items() if view.known_to_past),
        )


@dataclass(frozen=True, slots=True)
class Forwards:
    """What runs each network of a step, in the mode that it is to run in.

    Attributes:
        student: the network that is trained.
        teacher: its EMA copy; ``None`` without one.
        pasts: the frozen networks, the newest first.
        start: that which the task began with; ``None`` where it is not asked for.
    """

    student: Forward
    teacher: Forward | None
    pasts: Sequence[Forward]
    start: Forward | None = None


def see(
    views: Viewed, looks: Looks, runs: Forwards, coarse: Mapping[str, Tensor], ranks: Ranks
) -> dict[str, Seen]:
    """What the networks say of the views of a step.

    Views of one side are one forward pass of a network.

    Args:
        views: of the step, of this process's rows.
        looks: who sees which of them.
        runs: the networks.
        coarse: kind of rows -> int64 [n], the coarse classes of all of them.
        ranks: the processes, all of whose rows are in what comes back.
    """

    def run(network: Forward, names: Sequence[str]) -> dict[str, Outputs]:
        there = [name for name in names if name in views.images]
        if not there:
            return {}
        own = run_groups(network, views.by_side(there), looks.heads)
        everyone = gather_outputs(ranks, own, [views.blocks[name] for name in there])
        return dict(zip(there, everyone, strict=True))

    student: dict[str, Outputs] = {}
    teacher: dict[str, Outputs] = {}
    pasts: list[dict[str, Outputs]] = []
    start: dict[str, Outputs] = {}
    if looks.guesses:
        with torch.no_grad():
            student = run(runs.student, looks.guesses)
    student |= run(runs.student, looks.lessons)
    if runs.teacher is not None or runs.pasts or runs.start is not None:
        with torch.no_grad():
            teacher = {} if runs.teacher is None else run(runs.teacher, looks.teacher)
            pasts = [run(past, looks.pasts) for past in runs.pasts]
            start = {} if runs.start is None else run(runs.start, looks.pasts)
    found = {}
    for name in views.images:
        view, blend = looks.views[name], views.blends.get(name)
        found[name] = Seen(
            student=student.get(name),
            teacher=teacher.get(name),
            past=tuple(past[name] for past in pasts if name in past),
            start=start.get(name),
            rows=view.rows,
            number=view.number,
            coarse=coarse.get(view.rows) if blend is None else None,
            share=1.0 if blend is None else blend.share,
            partners=None if blend is None else blend.partners,
        )
    return found
