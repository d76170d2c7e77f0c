"""Sweeps that Hydra's launchers start elsewhere, for example as jobs of a Slurm cluster."""

import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from contsemi.compose import Composed, check, groups, plain
from contsemi.config import Config
from contsemi.errors import ENDINGS, InputError, Interrupted

if TYPE_CHECKING:
    from omegaconf import DictConfig

# By which submitit warns of the time limit, and by which a run stops after the step at hand.
_WARNING, _STOP = signal.SIGUSR2, signal.SIGUSR1
# Hydra neither logs, nor changes the directory, nor keeps records of its own.
_QUIET = (
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra.output_subdir=null",
    "hydra.job.chdir=false",
    "hydra.sweep.subdir=${hydra.job.num}",
)


def launch(
    runs: Sequence[Composed], launcher: Sequence[str], train: Callable[[Config], None]
) -> int:
    """Starts checked runs through a launcher of Hydra and waits for them.

    Args:
        runs: the runs.
        launcher: overrides such as ``["hydra/launcher=submitit_slurm"]``.
        train: what a run is.

    Returns:
        0, or the exit code of the first run that failed.

    Raises:
        InputError: the launcher is not installed, or does not know a setting.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.errors import HydraException
    from hydra.types import HydraContext, RunMode
    from omegaconf.errors import OmegaConfBaseException

    with ExitStack() as stack:
        here = "hydra/launcher=basic" in launcher
        if here:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="contsemi-"))
        else:  # jobs on other machines have to see it: their logs lie there
            folder = str(Path("outputs", "launcher").absolute())
        stack.enter_context(groups.hydra())
        framework = GlobalHydra.instance().hydra
        assert framework is not None
        words = [*_QUIET, f"hydra.sweep.dir={groups.quoted(folder)}", *launcher]
        try:
            config = framework.compose_config(
                "config", words, RunMode.MULTIRUN, with_log_configuration=False
            )
            plugin = Plugins.instance().instantiate_launcher(
                config=config,
                hydra_context=HydraContext(framework.config_loader, Callbacks()),
                task_function=partial(_job, train),
            )
        except (HydraException, OmegaConfBaseException) as error:
            problem = str(error).splitlines()[0].rstrip(".")
            fix = f"remove what {launcher[0]} does not know, or pip install 'contsemi[slurm]'"
            raise InputError("hydra/launcher", problem, fix) from None
        if "hydra/launcher=submitit_slurm" in launcher and shutil.which("srun") is None:
            fix = "start it on the cluster, or use hydra/launcher=submitit_local"
            raise InputError("hydra/launcher", "srun is not on this machine's PATH", fix)
        jobs = plugin.launch([run.words for run in runs], initial_job_idx=0)
        codes = [job.return_value for job in jobs]
    for run, code in zip(runs, codes, strict=True):
        if code and not here:
            failed = f"{' '.join(run.words)}: ended with exit code {code}; its log is in {folder}"
            print(f"error: {failed}", file=sys.stderr, flush=True)
    return next((code for code in codes if code), 0)


def _job(train: Callable[[Config], None], composed: "DictConfig") -> int:
    """One run where the launcher started it; the exit code comes back to the command."""
    values = plain(composed)
    _tell_ranks()
    before = _warned_by(_WARNING)
    try:
        train(check.validate(values, values))
    except ENDINGS as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        if before is not None and error.exit_code == 128 + _STOP:
            before(_WARNING, None)  # queues the job again, and ends the process; or has no more
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        if before is not None:
            signal.signal(_WARNING, before)
    return 0


def _warned_by(number: signal.Signals) -> Callable[[int, FrameType | None], Any] | None:
    """Lets a launcher's warning stop the run where all is saved; what the launcher would have done.

    submitit sends it before the time limit, and its handler ends the process in the middle of
    whatever it is at.
    """
    before = signal.getsignal(number)
    if not callable(before):
        return None
    signal.signal(number, lambda *_: signal.raise_signal(_STOP))
    signal.signal(_STOP, _stop)  # while nobody else listens to it: before and after the run
    return before


def _stop(number: int, _: FrameType | None) -> None:
    raise Interrupted(number, "goes on from here")


def _tell_ranks() -> None:
    """A job of several tasks is one run of as many processes, which meet as torchrun's do."""
    counts = (os.environ.get(name, "1") for name in ("SLURM_NTASKS", "SUBMITIT_LOCAL_NTASKS"))
    if all(count == "1" for count in counts) or "WORLD_SIZE" in os.environ:
        return
    from submitit.helpers import TorchDistributedEnvironment

    # every process takes the GPU of its local rank by itself
    TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
