"""The networks of a step run over its views."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contsemi.devices.gathering import gather_outputs
from contsemi.devices.ranks import Ranks
from contsemi.learner.forward import run_groups
from contsemi.learner.viewing import Viewed
from contsemi.types import Forward, Needs, Outputs, Seen, View

__all__ = ["Forwards", "see"]


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
    views: Viewed, needs: Needs, runs: Forwards, coarse: Mapping[str, Tensor], ranks: Ranks
) -> dict[str, Seen]:
    """What the networks say of the views of a step.

    Views of one side are one forward pass of a network. The teacher's batches have the unlabelled
    rows first.

    Args:
        views: of the step, of this process's rows.
        needs: who sees which of them.
        runs: the networks.
        coarse: kind of rows -> int64 [n], the coarse classes of all of them.
        ranks: the processes, all of whose rows are in what comes back.
    """
    heads = needs.head_names

    def run(network: Forward, names: Sequence[str]) -> dict[str, Outputs]:
        if not names:
            return {}
        own = run_groups(network, views.by_side(names), heads)
        everyone = gather_outputs(ranks, own, [views.blocks[name] for name in names])
        return dict(zip(names, everyone, strict=True))

    def names(sees: Callable[[View], bool]) -> list[str]:
        return [name for name in views.images if sees(needs.views[name])]

    with torch.no_grad():
        student = run(runs.student, names(lambda view: _sees(view) and not view.gradient))
    student |= run(runs.student, names(lambda view: _sees(view) and view.gradient))
    teacher: dict[str, Outputs] = {}
    with torch.no_grad():
        if runs.teacher is not None:
            shown = names(lambda view: "teacher" in view.seen_by)
            unlabelled_first = sorted(shown, key=lambda n: needs.views[n].rows != "unlabelled")
            teacher = run(runs.teacher, unlabelled_first)
        known = names(lambda view: view.known_to_past) if runs.pasts or runs.start else []
        pasts = [run(past, known) for past in runs.pasts]
        start = {} if runs.start is None else run(runs.start, known)
    found = {}
    for name in views.images:
        blend = views.blends.get(name)
        found[name] = Seen(
            student=student.get(name),
            teacher=teacher.get(name),
            past=tuple(past[name] for past in pasts if name in past),
            start=start.get(name),
            rows=needs.views[name].rows,
            number=needs.views[name].number,
            coarse=coarse.get(needs.views[name].rows) if blend is None else None,
            share=1.0 if blend is None else blend.share,
            partners=None if blend is None else blend.partners,
        )
    return found


def _sees(view: View) -> bool:
    return "student" in view.seen_by
