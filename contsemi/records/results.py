"""The content of ``results.json``, from the two accuracy matrices of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from contsemi.metrics.matrix import Undefined, or_none
from contsemi.metrics.stability import summarise_trajectory
from contsemi.metrics.summary import summarise
from contsemi.metrics.trajectory import Trajectory
from contsemi.records.measured import GROUPS

TIMINGS = ("seconds", "images_per_second")
"""The keys in which two runs of the same command may differ."""


def results(
    *,
    method: str,
    scenario: str,
    seed: int,
    label_ratio: Any,
    class_incremental: ArrayLike,
    task_incremental: ArrayLike,
    memory: Mapping[str, int],
    seconds: float,
    images_per_second: float | None,
    switches: Sequence[str] = (),
    pieces: int = 1,
    changes: Sequence[str] = (),
    predictors: Mapping[str, Mapping[str, float]] | None = None,
    test_images: Sequence[int] | None = None,
    while_training: Mapping[str, Trajectory] | None = None,
    measured: Mapping[str, Mapping[str, float | Undefined]] | None = None,
    pretrained: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The results of a run; a metric that is not defined is ``None`` and says why.

    Args:
        method: name of the method.
        scenario: name of the scenario.
        seed: of the run.
        label_ratio: the label budget, written in one way (runs are grouped by it).
        class_incremental: R [T, T], fractions, NaN where not measured.
        task_incremental: likewise.
        memory: bytes of all that is kept beside the network; ``memory_bytes`` is their sum.
        seconds: wall-clock time of the run, over all its resumptions.
        images_per_second: images trained a second.
        switches: names of the switches of official code that were on.
        pieces: into which the rows of a step were split to fit into memory.
        changes: what changed under the run (versions, threads, device) between its resumptions.
        predictors: averages after the last task; ``headline`` is the one of the matrices given.
        test_images: [T], test images of each task, for the accuracy in which each weighs the same.
        while_training: evaluations inside tasks by kind; nothing where there were none.
        measured: calibration, probes and pseudo-labels, as far as they were asked for.
        pretrained: what is known of the weights it started from; ``None`` for random ones.
    """
    matrices = {"class_incremental": class_incremental, "task_incremental": task_incremental}
    summaries = {kind: summarise(matrix, test_images) for kind, matrix in matrices.items()}
    return {
        "method": method,
        "scenario": scenario,
        "seed": seed,
        "label_ratio": label_ratio,
        **_told(summaries, measured or {}, while_training or {}),
        "predictors": {name: dict(values) for name, values in (predictors or {}).items()},
        "switches": list(switches),
        "pretrained": None if pretrained is None else dict(pretrained),
        "pieces": pieces,
        "changes": list(changes),
        "memory_bytes": sum(memory.values()),
        "memory": dict(memory),
        "seconds": seconds,
        "images_per_second": images_per_second,
    }


def without_timings(content: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs of the same command on the same machine must have in common."""
    return {key: value for key, value in content.items() if key not in TIMINGS}


def _told(
    summaries: Mapping[str, Mapping[str, float | Undefined]],
    measured: Mapping[str, Mapping[str, float | Undefined]],
    while_training: Mapping[str, Trajectory],
) -> dict[str, Any]:
    """Every number, by what it is of, and why those that are not defined are not."""
    known = {**summaries, **{group: measured.get(group, {}) for group in GROUPS}}
    traces = {kind: summarise_trajectory(each) for kind, each in while_training.items()}
    return {
        **{kind: _numbers(each) or None for kind, each in known.items()},
        "while_training": {kind: _numbers(each) for kind, each in traces.items()} or None,
        "undefined": _reasons(known) | _reasons(traces, "while_training."),
    }


def _numbers(summary: Mapping[str, float | Undefined]) -> dict[str, float | None]:
    return {name: or_none(value) for name, value in summary.items()}


def _reasons(
    summaries: Mapping[str, Mapping[str, float | Undefined]], prefix: str = ""
) -> dict[str, str]:
    """Why each number that is not defined is not."""
    return {
        f"{prefix}{kind}.{name}": value.reason
        for kind, summary in summaries.items()
        for name, value in summary.items()
        if isinstance(value, Undefined)
    }
