"""The plans of ``scripts/``: each run that one asks for is one that can be composed."""

from pathlib import Path

import pytest

from contsemi import compose
from contsemi.benchmark.plan import read

PLANS = sorted((Path(__file__).resolve().parents[2] / "scripts").glob("*.yaml"))


@pytest.mark.thorough
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.stem)
def test_every_method_of_a_plan_composes_under_every_budget(plan, tmp_path):
    jobs = read(plan).jobs(tmp_path, ["data.root=photos"])
    asked = {}
    for job in jobs:
        asked.setdefault((job.method, job.labels), job)
    for job in asked.values():
        assert compose.load(job.settings).seed == job.seed
