"""A model of a disk that loses its power: what may be left of what was written.

What is synced is there; of the rest anything may be. A file's bytes are those at its last fsync,
followed by any part of what was written later, torn at 512 bytes or zeros. A name is as at the last
fsync of its folder, followed by any choice of the changes after it, whatever their order. That is
more than a journalling file system loses.
"""

import os
from pathlib import PurePath

SECTOR = 512


class File:
    """The bytes of one file: those on the disk, and what was written since."""

    def __init__(self):
        self.durable, self.now = b"", b""

    def left(self, draw):
        """What may be there after the power is back."""
        if self.now == self.durable:
            return self.durable
        how = draw.randrange(4)
        if how == 0:
            return self.durable
        if how == 1:
            return self.now
        start = min(len(self.durable), len(self.now))
        end = start + SECTOR * draw.randrange((len(self.now) - start) // SECTOR + 1)
        torn = self.now[:end]
        return torn if how == 2 else torn + bytes(len(self.now) - end)


class Disk:
    """Replays a log of calls; see ``plants.log_calls``."""

    def __init__(self, contents):
        self.contents = contents
        self.names, self.durable = {}, {}  # of now and on the disk: path -> File, or None: a folder
        self.pending = {}  # folder -> changes of its names since its fsync

    def apply(self, op, path, more):
        if op == "open" and path not in self.names:
            self.change(path, File())
        elif op == "open" and more & os.O_TRUNC:
            self.names[path].now = b""
        elif op == "write":
            self.names[path].now += self.contents.read(more)
        elif op == "truncate":
            self.names[path].now = self.names[path].now[:more]
        elif op == "mkdir":
            self.change(path, None)
        elif op in ("unlink", "rmdir"):
            self.change(path, "gone")
        elif op == "replace":
            moved = self.names[path]
            self.note(path, "gone")
            self.note(more, moved)
            del self.names[path]
            self.names[more] = moved
        elif op == "fsync":
            self.sync(path)

    def change(self, path, what):
        self.note(path, what)
        if what == "gone":
            self.names.pop(path, None)
        else:
            self.names[path] = what

    def note(self, path, what):
        self.pending.setdefault(str(PurePath(path).parent), []).append((path, what))

    def sync(self, path):
        if isinstance(self.names.get(path), File):
            self.names[path].durable = self.names[path].now
        for name, what in self.pending.pop(path, []):
            self.settle(self.durable, name, what)

    @staticmethod
    def settle(names, path, what):
        if what == "gone":
            names.pop(path, None)
        else:
            names[path] = what

    def left(self, draw):
        """One state after a power cut: path -> bytes, or ``None`` for a folder."""
        names = dict(self.durable)
        for changes in self.pending.values():
            kept = [each for each in changes if draw.random() < 0.5]
            if draw.random() < 0.5:
                kept = changes[: draw.randrange(len(changes) + 1)]
            for path, what in kept:
                self.settle(names, path, what)
        found = {path: what and what.left(draw) for path, what in names.items()}
        return {path: what for path, what in found.items() if self.reachable(path, found)}

    def reachable(self, path, found):
        """A file in a folder that is not there is not there."""
        parent = str(PurePath(path).parent)
        return parent not in self.names or parent in found
