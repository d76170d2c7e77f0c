"""The processes of one run that torchrun has started: how they meet, and end for one reason.

All of them compute the same numbers from the same rows, so that they take every turn together;
only what one of them alone can know is told: what the first finds in the output folder, and what
one of them refuses.
"""

import atexit
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from contsemi.devices.environment import ranked, said_once
from contsemi.devices.precision import choose_device
from contsemi.devices.ranks import ALONE, Ranks, alive
from contsemi.devices.reunion import Meeting
from contsemi.errors import (
    ENDINGS,
    ContsemiError,
    Elsewhere,
    InputError,
    Interrupted,
    RankLost,
    StepTooLarge,
)
from contsemi.storage.tensors import flatten, nest

Loaded = TypeVar("Loaded")

# For one that hangs; one that has died is noticed at once. Reading images may take long.
_PATIENCE, _PATIENCE_GPU = timedelta(minutes=30), timedelta(minutes=5)
_MEETINGS: list[Meeting] = []  # of this process; the last one is on
_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def meet(device: str = "auto", *, baseline: bool = False) -> Ranks:
    """Meets the other processes, if the environment speaks of any, unless it has met them.

    Args:
        device: the key ``device``; the process takes its own GPU here, before anything else does.
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
    ranks = Ranks(*numbers)
    if not dist.is_initialized():
        with said_once(InputError):
            own = choose_device(device, ranks)
        on_gpu = own.type == "cuda"
        with alive():
            store = _store(numbers)
            dist.init_process_group(
                # Rows go between GPUs by NCCL; whether all are there and go on, by gloo.
                "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
                store=store,
                rank=ranks.rank,
                world_size=ranks.size,
                timeout=_PATIENCE,
                device_id=own if on_gpu else None,
            )
        if on_gpu:
            _shorten_patience(own)
        if not _MEETINGS:
            atexit.register(_end)
        _MEETINGS.append(Meeting(store))
    return ranks


def _end() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def too_large_for_all(ranks: Ranks) -> Iterator[None]:
    """A step inside the block that one process has no memory for is too large for all of them.

    They are not connected then, until they meet again.

    Raises:
        StepTooLarge: in every process.
    """
    try:
        yield
    except (StepTooLarge, RankLost) as error:
        found = _MEETINGS[-1].part(error, ranks) if _MEETINGS and not ranks.alone else None
        if found is None or found is error:
            raise
        raise found from error


def _shorten_patience(device: torch.device) -> None:
    """Between GPUs nobody is waited for long: who reads images or saves is waited for by gloo."""
    group = dist.distributed_c10d._get_default_group()
    group._get_backend(device)._set_default_timeout(_PATIENCE_GPU)


def _store(numbers: list[int]) -> Store:
    """Where the processes find each other's addresses, under a name that no start before had.

    torchrun may keep the store when it starts all of them again, with the addresses of those that
    are gone, and its count of restarts differs between machines. So they agree on a name first.
    """
    store = _shared_store()
    return PrefixStore(agreed_name(store, numbers[0], numbers[1], _PATIENCE), store)


@lru_cache(maxsize=1)  # the first process may be the one that serves it
def _shared_store() -> Store:
    store: Store = next(rendezvous("env://", timeout=_PATIENCE))[0]
    # by that count
    return store.underlying_store if isinstance(store, PrefixStore) else store


def agreed_name(store: Store, rank: int, size: int, patience: timedelta) -> str:
    """A new name that all processes of this start, and none of an earlier one, have in common.

    Each but the first says a number of its own and waits for the answer to just that one; the
    first answers whatever numbers stand there until all have taken the name. What earlier starts
    have left behind is answered in vain.

    Args:
        store: that all reach, with whatever earlier starts have left in it.
        rank: of this process.
        size: processes.
        patience: how long the others are waited for.

    Raises:
        RankLost: they did not come.
    """
    own = secrets.token_hex(8)
    deadline = time.monotonic() + patience.total_seconds()
    if rank:
        store.set(f"contsemi says {rank}", own)
        with alive():
            store.wait([f"contsemi answer {own}"], patience)
        name = store.get(f"contsemi answer {own}").decode()
        store.set(f"contsemi {name} taken {rank}", "yes")
        return name
    missing = set(range(1, size))
    while missing:
        for each in list(missing):
            if store.check([f"contsemi {own} taken {each}"]):
                missing.discard(each)
            elif store.check([f"contsemi says {each}"]):
                said = store.get(f"contsemi says {each}").decode()
                store.set(f"contsemi answer {said}", own)
        if missing and time.monotonic() > deadline:
            raise RankLost(
                f"ranks: {len(missing)} of {size} processes did not come; see their own messages"
            )
        time.sleep(0.02 if missing else 0)
    return own


def _numbers() -> list[int]:
    try:
        return [int(os.environ[name]) for name in _NAMES]
    except (KeyError, ValueError) as error:
        problem = f"WORLD_SIZE is set, and {error} is wrong or missing"
        raise InputError("ranks", problem, "start with torchrun, or unset it") from None


@contextmanager
def all_or_none(ranks: Ranks) -> Iterator[None]:
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
        ContsemiError: as :func:`all_or_none` says.
    """
    if ranks.local_rank == 0:
        with all_or_none(ranks):
            return load()
    with all_or_none(ranks):
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


def refuse_apart(ranks: Ranks, task: int, kept: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Raises where the processes have grown apart: all compute the same, to the bit.

    Args:
        ranks: the processes; all of them call.
        task: that is over, from 0.
        kept: name -> tensors by name, alike everywhere.

    Raises:
        RankLost: in all processes; the last saved state is of before.
    """
    if ranks.alone:
        return
    digests = {name: _digest(tensors) for name, tensors in kept.items()}
    firsts = tell_json(ranks, digests)
    apart = [name for name, digest in digests.items() if firsts[name] != digest]
    if ranks.agree(bool(apart)):
        who, which = f"rank {ranks.rank}", " and ".join(apart)
        if not apart:
            who, which = "another rank", "exemplars, embeddings or weights"
        raise RankLost(
            f"ranks: after task {task + 1} {who} has other {which} than rank 0; the same command "
            "goes on from the last checkpoint; give all the same hardware and versions"
        )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


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
