"""A folder's lock where flock is missing, or holds on one machine alone."""

import errno
import fcntl
import os
import socket
import threading
import time

import pytest

from contsemi.storage import heartbeat, lock
from contsemi.storage.heartbeat import Heartbeat, is_shared
from contsemi.storage.lock import FolderLock, InUse

ELSEWHERE = b"process 7 on another-machine since 2001-01-01 00:00:00 (00000000)"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "SILENCE", 0.6)
    monkeypatch.setattr(heartbeat, "BEAT", 0.1)
    monkeypatch.setattr(lock, "_SETTLED", 0.2)


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, "one machine"])
def no_flock(request, monkeypatch):
    """A file system without it, or one where every machine has locks of its own."""

    def flock(file, how):
        if request.param != "one machine" and not how & fcntl.LOCK_UN:
            raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(lock, "is_shared", lambda path: True)


@pytest.mark.quick(1)
def test_two_do_not_hold_it_and_it_is_free_at_once_afterwards(no_flock, tmp_path, monkeypatch):
    path = tmp_path / "run.lock"
    first, second = FolderLock(path), FolderLock(path)
    first.acquire()
    assert first.held and first.owned() and not first.gone
    with pytest.raises(InUse, match=f"process {os.getpid()} on {socket.gethostname()} since"):
        second.acquire()
    assert first.held and not first.gone and not second.held
    first.release()
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    second.acquire()
    assert sum(slept) < 0.5  # nobody's silence is waited for
    second.release()


@pytest.mark.thorough
def test_an_owner_on_another_machine_is_believed_while_it_gives_signs_of_life(no_flock, tmp_path):
    path = tmp_path / "run.lock"
    path.write_bytes(ELSEWHERE)
    alive = Heartbeat(path)
    with pytest.raises(InUse, match="process 7 on another-machine"):
        FolderLock(path).acquire()
    assert path.read_bytes() == ELSEWHERE
    alive.stop()
    own = FolderLock(path)
    own.acquire()
    assert own.held and ELSEWHERE not in path.read_bytes()
    own.release()


@pytest.mark.quick(1)
def test_of_several_at_once_one_has_it(no_flock, tmp_path):
    path, outcomes, start = tmp_path / "run.lock", [], threading.Barrier(4)
    locks = [FolderLock(path) for _ in range(4)]

    def race(each):
        start.wait()
        try:
            each.acquire()
            outcomes.append("won")
        except InUse as error:
            outcomes.append(str(error))

    racers = [threading.Thread(target=race, args=(each,)) for each in locks]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert outcomes.count("won") == 1 and len(outcomes) == 4
    winner = next(each for each in locks if each.held)
    assert not winner.gone
    winner.release()


def test_who_was_taken_for_gone_finds_out(no_flock, tmp_path):
    """A machine that stood still for too long: its next save is refused."""
    own = FolderLock(tmp_path / "run.lock")
    own.acquire()
    own.path.write_bytes(ELSEWHERE)
    assert own.gone
    own.release()
    assert own.path.read_bytes() == ELSEWHERE


def test_other_errors_are_told(monkeypatch, tmp_path):
    def flock(file, how):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="broken"):
        FolderLock(tmp_path / "run.lock").acquire()


@pytest.mark.parametrize(
    ("lines", "shared"),
    [
        (["/dev/sda / ext4 rw 0 0"], False),
        (["/dev/sda / ext4 rw 0 0", "server:/home {} nfs4 rw 0 0"], True),
        (["server:/ / nfs rw 0 0", "tmpfs {} tmpfs rw 0 0"], False),
        (["tmpfs {} tmpfs rw 0 0", "sshfs {}/with\\040blank fuse.sshfs rw 0 0"], True),
        (["server:/ {}er nfs rw 0 0"], False),
        (["nonsense"], False),
    ],
)
def test_what_other_machines_may_see(lines, shared, tmp_path):
    mounts = tmp_path / "mounts"
    folder = tmp_path / "with blank"
    folder.mkdir()
    mounts.write_text("\n".join(line.format(tmp_path) for line in lines))
    assert is_shared(folder / "run.lock", mounts) is shared
    assert not is_shared(folder, tmp_path / "none")
