"""The processes of one run that torchrun has started: how they meet, and end for one reason.

All of them compute the same numbers from the same rows, so that they take every turn together;
only what one of them alone can know is told: what the first finds in the output folder, and what
one of them refuses.
"""

import atexit
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from contsemi.devices.environment import ranked, said_once
from contsemi.devices.ranks import ALONE, Ranks, alive
from contsemi.errors import ENDINGS, ContsemiError, Elsewhere, InputError, Interrupted
from contsemi.storage.tensors import flatten, nest

__all__ = ["join", "one_first", "refuse_differing", "tell_json", "tell_state", "together"]

Loaded = TypeVar("Loaded")

# For one that hangs; one that has died is noticed at once. Reading images may take long.
_PATIENCE = timedelta(minutes=30)
_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def join(*, baseline: bool = False) -> Ranks:
    """Meets the other processes, if the environment speaks of any; a second call changes nothing.

    Args:
        baseline: whether one of Avalanche is to be trained, which takes a single process.

    Raises:
        InputError: the environment is not as torchrun sets it, or there are too many processes.
        RankLost: the others did not come.
    """
    if not ranked():
        return ALONE
    with said_once(InputError):
        numbers = _numbers()
        if baseline:
            problem = "one of Avalanche trains in one process, and torchrun has started more"
            raise InputError("baseline", problem, "start it without torchrun")
    if not dist.is_initialized():
        # Rows go between GPUs by NCCL; whether all are there and go on, between hosts by gloo.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with alive():
            dist.init_process_group(
                backend,
                store=_store(numbers),
                rank=numbers[0],
                world_size=numbers[1],
                timeout=_PATIENCE,
            )
        atexit.register(dist.destroy_process_group)
    return Ranks(*numbers)


def _store(numbers: list[int]) -> Store:
    """Where the processes find each other's addresses.

    torchrun keeps it when it starts all of them again, with the addresses of those that are gone.
    On one machine the starts are counted alike for all.
    """
    store: Store = next(rendezvous("env://", timeout=_PATIENCE))[0]
    if numbers[3] < numbers[1]:  # several machines
        return store
    return PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def _numbers() -> list[int]:
    try:
        return [int(os.environ[name]) for name in _NAMES]
    except (KeyError, ValueError) as error:
        problem = f"WORLD_SIZE is set, and {error} is wrong or missing"
        raise InputError("ranks", problem, "start with torchrun, or unset it") from None


@contextmanager
def together(ranks: Ranks) -> Iterator[None]:
    """What one process refuses inside the block, none goes on with; each of them waits here.

    Raises:
        ContsemiError: the own error, in the first process of those with the worst exit code.
        Elsewhere: in all others; it has the same exit code and says nothing.
    """
    own: ContsemiError | Interrupted | None = None
    try:
        yield
    except ENDINGS as error:
        if ranks.alone:
            raise
        own = error
    mine = 0
    if own is not None and not isinstance(own, Elsewhere):
        mine = own.exit_code * ranks.size + ranks.size - 1 - ranks.rank
    worst = ranks.agree(mine)
    if own is not None and mine == worst:
        raise own
    if worst:
        raise Elsewhere(worst // ranks.size)


def one_first(ranks: Ranks, load: Callable[[], Loaded]) -> Loaded:
    """What is loaded: one process of each machine decodes it, the others find it decoded.

    Raises:
        ContsemiError: as :func:`together` says.
    """
    if ranks.local_rank == 0:
        with together(ranks):
            return load()
    with together(ranks):
        pass
    return load()


def refuse_differing(ranks: Ranks, where: str, what: Mapping[str, Any]) -> None:
    """Raises where a process has not what the first one has.

    Args:
        ranks: the processes; all of them call.
        where: the configuration key at fault.
        what: JSON values.

    Raises:
        InputError: in the process that differs.
    """
    texts = {key: json.dumps(value, sort_keys=True, default=str) for key, value in what.items()}
    digests = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}
    firsts = tell_json(ranks, digests)
    if differing := [key for key, digest in digests.items() if firsts.get(key) != digest]:
        raise InputError(
            where,
            f"rank {ranks.rank} has another {', '.join(differing[:3])} than rank 0",
            "start all with the same command, version and images",
        )


def tell_json(ranks: Ranks, value: dict[str, Any]) -> dict[str, Any]:
    """The first process's JSON value, in all of them."""
    if ranks.alone:
        return value
    return json.loads(_tell(ranks, json.dumps(value).encode()))  # type: ignore[no-any-return]


def tell_state(
    ranks: Ranks, saved: tuple[dict[str, Any], dict[str, Any]] | None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The first process's nested tensors and record, if it has some, in all of them.

    The others need not see the folder that they come from.
    """
    if ranks.alone or not ranks.agree(saved is not None):
        return saved
    state, record = saved or ({}, {})
    content = _tell(ranks, save(flatten(state)) if ranks.first else b"")
    record = tell_json(ranks, record)
    return saved if ranks.first else (nest(load(content)), record)


def _tell(ranks: Ranks, content: bytes) -> bytes:
    size = ranks.agree(len(content) if ranks.first else 0)
    parcel = torch.empty(size, dtype=torch.uint8)
    if ranks.first:
        parcel = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    with alive():
        for part in torch.split(parcel, 1 << 28):
            dist.broadcast(part, 0, group=ranks.group)
    return content if ranks.first else parcel.numpy().tobytes()
