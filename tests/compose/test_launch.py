"""Jobs of a launcher that are several processes."""

import sys
from types import ModuleType

import pytest

from contsemi.compose import launch
from contsemi.compose.argv import LAUNCHER_KEYS


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "1"}, False),
        ({"SLURM_NTASKS": "4"}, True),
        ({"SUBMITIT_LOCAL_NTASKS": "2"}, True),
        ({"SLURM_NTASKS": "4", "WORLD_SIZE": "4"}, False),  # torchrun has said it
    ],
)
def test_a_job_of_several_tasks_is_one_run(environment, told, monkeypatch):
    calls = []

    class Environment:
        def export(self, *, set_cuda_visible_devices):
            calls.append(set_cuda_visible_devices)

    helpers = ModuleType("submitit.helpers")
    helpers.TorchDistributedEnvironment = Environment
    monkeypatch.setitem(sys.modules, "submitit", ModuleType("submitit"))
    monkeypatch.setitem(sys.modules, "submitit.helpers", helpers)
    for name in ("SLURM_NTASKS", "SUBMITIT_LOCAL_NTASKS", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    launch._tell_ranks()
    assert calls == ([False] if told else [])


def test_what_a_cluster_needs_may_be_given():
    wanted = {"nodes", "tasks_per_node", "max_num_timeout", "signal_delay_s", "setup"}
    assert wanted | {"additional_parameters"} <= set(LAUNCHER_KEYS)
