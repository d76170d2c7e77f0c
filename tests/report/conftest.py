"""Finished runs as the engine leaves them, with numbers made up from a formula."""

import numpy as np
import pytest

from contsemi.report.manifest import manifest
from contsemi.report.records import Records
from contsemi.report.results import results
from contsemi.report.trajectories import load_trajectories


def decaying(tasks, seed=0):
    """A lower triangle in which every task is forgotten; NaN above the diagonal."""
    rng = np.random.default_rng(seed)
    age = np.subtract.outer(np.arange(tasks), np.arange(tasks))
    accuracy = 0.3 + rng.uniform(0.4, 0.65, tasks) * 0.8 ** np.maximum(age, 0)
    return np.where(age >= 0, accuracy.round(4), np.nan)


def write_curves(records, matrix, evaluations):
    """So many evaluations in each task: old tasks fall by half at first, then come back."""
    for task in range(len(matrix)):
        for n in range(1, evaluations + 1):
            share = 1 - 0.5 * (1 - n / evaluations)
            for kind, power in (("class_incremental", 1.0), ("task_incremental", 0.5)):
                for j in range(task + 1):
                    records.metric(
                        step=10 * (evaluations * task + n),
                        task=task,
                        name=f"trace/{kind}/task_{j + 1}",
                        value=(matrix[task, j] * share) ** power,
                    )


@pytest.fixture
def make_run(tmp_path):
    """Write the folder of a run with ``tasks`` tasks and return it."""

    def make(tasks=3, *, name=None, seed=0, matrix=None, evaluations=0, **facts):
        folder = tmp_path / (name or f"run {tasks} {seed}")
        matrix = decaying(tasks, seed) if matrix is None else matrix
        facts = {"method": "contsemi", "scenario": "digits", "label_ratio": "5%", **facts}
        facts = {"seconds": 61.2, "images_per_second": 2345.6, **facts}
        with Records(folder) as records:
            records.write_config({"method": facts["method"], "optim": {"lr": 1e-5}})
            records.write_manifest(
                manifest(
                    seed=seed,
                    class_order=range(10),
                    label_digest="9f" * 32,
                    labelled=71,
                    device="cpu",
                    threads=2,
                    class_names=["<b>zero</b>", "Bär"],
                )
            )
            records.metric(step=1, task=0, name="loss/prototypes", value=1.5)
            write_curves(records, matrix, evaluations)
            records.flush()
            records.write_matrices(matrix, np.sqrt(matrix))
            records.write_results(
                results(
                    seed=seed,
                    class_incremental=matrix,
                    task_incremental=np.sqrt(matrix),
                    while_training=load_trajectories(folder),
                    **{"memory_bytes": 3_500_000} | facts,
                )
            )
        return folder

    return make
