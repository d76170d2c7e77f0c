"""Jobs of a launcher that are several processes."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from contsemi.compose import launch
from contsemi.compose.argv import LAUNCHER_KEYS, search_words, split
from contsemi.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(
    "word",
    [
        "hydra.launcher.setup=['module load cuda/12', 'source env/bin/activate']",
        "hydra.launcher.additional_parameters={requeue: true, gres: 'gpu:2'}",
        "hydra.launcher.signal_delay_s=300",
        "hydra.launcher.nodes=2",
    ],
)
def test_settings_of_several_words(word):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = ["-m", "hydra/launcher=submitit_slurm", word, "seed=0,1"]
    assert split(words).launcher == tuple(words[1:3])
    assert OverridesParser.create().parse_override(word).key_or_group == word.partition("=")[0]


@pytest.mark.parametrize(
    "word",
    [
        "hydra.launcher.setup=module load cuda",
        "hydra.launcher.setup=['${oc.env:SECRET}']",
        "hydra.launcher.additional_parameters={_target_: os.system}",
        "hydra.launcher.partition=a b",
        "hydra.launcher.stderr_to_stdout=true",
    ],
)
def test_other_settings_are_refused(word):
    with pytest.raises(InputError, match=re.escape(word.partition("=")[0])):
        split(["-m", "hydra/launcher=submitit_slurm", word, "seed=0,1"])


def test_a_sweep_by_optuna_is_a_search():
    words = "-m method=nncsl hydra/sweeper=optuna seed=0,1 hydra.sweeper.n_trials=9 output=x"
    assert search_words(split([*words.split(), "label_ratio=4/class"])) == [
        *("--seeds=0,1", "--output=x", "--trials=9", "method=nncsl", "label_ratio=4/class")
    ]


@pytest.mark.thorough
def test_a_job_that_meets_its_time_limit_is_queued_again_and_goes_on(small, tmp_path, monkeypatch):
    """submitit's warning comes inside a step: all is saved, then the job is queued again."""
    from contsemi import pipeline
    from contsemi.learner.learner import Learner
    from contsemi.records.results import without_timings

    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    config = small(
        "scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "batch.unlabelled=48"
    )
    monkeypatch.setattr(launch, "plain", lambda composed: composed)
    monkeypatch.setattr(launch.check, "validate", lambda values, _: values)
    found, queued, real = [], [], Learner.backward

    def train(config):
        found.append(pipeline.run(config))

    def of(name):
        return config.model_copy(update={"output": str(tmp_path / name)})

    def warned(self, loss):
        if len(warned.steps) == 2 and not queued:
            signal.raise_signal(signal.SIGUSR2)
        warned.steps.append(self.step_in_task)
        real(self, loss)

    warned.steps = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: queued.append(number))
    stop = signal.getsignal(signal.SIGUSR1)
    try:
        assert launch._job(train, of("whole")) == 0
        monkeypatch.setattr(Learner, "backward", warned)
        assert launch._job(train, of("stopped")) == 128 + signal.SIGUSR1
        assert queued == [signal.SIGUSR2] and len(found) == 1
        assert launch._job(train, of("stopped")) == 0
        steps = len(warned.steps) // 2
        assert steps > 4 and warned.steps == [*range(steps)] * 2  # none is lost, none done again
    finally:
        signal.signal(signal.SIGUSR2, before)
        signal.signal(signal.SIGUSR1, stop)
    assert without_timings(found[1]) == without_timings(found[0])


@pytest.mark.slow
def test_a_sweep_whose_jobs_are_two_processes_each(tmp_path):
    """Two jobs of submitit on this machine, each one run of two tasks that meet by gloo."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = [
        *("-m", "hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2"),
        *("hydra.launcher.timeout_min=20", "seed=0,1", "optim.epochs=1", "scenario.tasks=2"),
        *("scenario.classes=4", "model.width=4", "model.blocks=[1,1]", "batch.unlabelled=90"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "contsemi.run", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    manifests = sorted(tmp_path.glob("outputs/*/*/manifest.json"))
    assert len(manifests) == 2
    for each in manifests:
        assert json.loads(each.read_text())["ranks"] == 2
        assert (each.parent / "results.json").exists()
