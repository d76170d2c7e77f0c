"""The part of the page that shows what happened inside tasks."""

from html import escape

from contsemi.metrics.matrix import Undefined
from contsemi.metrics.stability import summarise_trajectory
from contsemi.metrics.stability_gap import gaps
from contsemi.metrics.trajectory import Trajectory
from contsemi.report.pages.svg import step_curves
from contsemi.report.words import percent

__all__ = ["inside_tasks"]


def inside_tasks(trajectories: dict[str, Trajectory]) -> str:
    """Curves over steps, the gap at every switch and its metrics; empty without evaluations.

    Args:
        trajectories: by kind of accuracy.
    """
    if "class_incremental" not in trajectories:
        return ""
    trajectory = trajectories["class_incremental"]
    return (
        "<h2>Inside tasks</h2>"
        f"{step_curves(trajectory)}"
        '<p class="soft">Class-incremental accuracy on a fixed part of the test images; dotted '
        "lines stand where a task begins.</p>"
        f"{_gaps(trajectory)}{_summary(trajectories)}"
    )


def _gaps(trajectory: Trajectory) -> str:
    found = gaps(trajectory)
    if not found:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{gap.switch + 1}</th><td>{gap.task + 1}</td>'
        f"<td>{percent(gap.before)}</td><td>{percent(gap.lowest)}</td>"
        f"<td>{percent(gap.depth)}</td>"
        f"<td>{'never' if isinstance(gap.recovery, Undefined) else gap.recovery}</td></tr>"
        for gap in found
    )
    return (
        "<details><summary>Stability gap at every switch [%]</summary>"
        '<div class="wide"><table class="gaps"><thead><tr><th scope="col">task begins</th>'
        '<th scope="col">on task</th><th scope="col">before</th><th scope="col">lowest</th>'
        '<th scope="col">depth</th><th scope="col">steps to 95%</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _summary(trajectories: dict[str, Trajectory]) -> str:
    kinds = list(trajectories)
    summaries = [summarise_trajectory(trajectories[kind]) for kind in kinds]
    head = "".join(f'<th scope="col">{kind.replace("_", "-")}</th>' for kind in kinds)
    rows = "".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th>'
        + "".join(f"<td>{_value(name, summary[name])}</td>" for summary in summaries)
        + "</tr>"
        for name in summaries[0]
    )
    return (
        '<div class="wide"><table class="summary"><thead><tr><th scope="col"></th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _value(name: str, value: float | Undefined) -> str:
    if isinstance(value, Undefined):
        return f'<span title="{escape(value.reason)}">-</span>'
    if name in ("evaluations", "recovery_steps"):
        return f"{value:.0f}"
    return f"{percent(value)} %"
