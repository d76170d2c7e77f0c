"""Sees every call that changes, or lists, what is under one folder, before it happens.

The project writes through ``os`` alone (pathlib does, too), so that replacing the functions of that
module in a forked child is enough. A write is seen twice, before it and after its first half.
"""

import os
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
real = {name: getattr(os, name) for name in dir(os) if callable(getattr(os, name))}


class Calls:
    """Calls ``act(number, op, path, more)`` before each call under ``folder``.

    Ops: open, write, half, fsync, replace, unlink, mkdir, rmdir, truncate, list. ``more`` is the
    bytes of a write and of a half, the new name of a replace, the length of a truncate, and the
    flags of an open.
    """

    def __init__(self, folder, act):
        self.folder, self.act, self.number = str(folder), act, 0
        self.paths = {}

    def inside(self, path):
        path = str(path)
        return path == self.folder or path.startswith(self.folder + "/")

    def see(self, op, path, more=None):
        self.act(self.number, op, path, more)
        self.number += 1

    def install(self):
        for name in ("open", "close", "write", "fsync", "replace", "unlink", "mkdir", "rmdir"):
            setattr(os, name, getattr(self, name))
        os.ftruncate, os.listdir = self.ftruncate, self.listdir
        return self

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        full = str(path) if dir_fd is None else f"{self.paths.get(dir_fd)}/{path}"
        ours = self.inside(full)
        if ours and flags & WRITING:
            self.see("open", full, flags)
        descriptor = real["open"](path, flags, mode, dir_fd=dir_fd)
        self.paths.pop(descriptor, None)
        if ours:
            self.paths[descriptor] = full
        return descriptor

    def close(self, descriptor):
        self.paths.pop(descriptor, None)
        real["close"](descriptor)

    def write(self, descriptor, content):
        path = self.paths.get(descriptor)
        if path is None:
            return real["write"](descriptor, content)
        content, half = bytes(content), len(content) // 2
        self.see("write", path, content)
        real["write"](descriptor, content[:half])
        self.see("half", path, content)
        return half + real["write"](descriptor, content[half:])

    def fsync(self, descriptor):
        if descriptor in self.paths:
            self.see("fsync", self.paths[descriptor])
        real["fsync"](descriptor)

    def ftruncate(self, descriptor, length):
        if descriptor in self.paths:
            self.see("truncate", self.paths[descriptor], length)
        real["ftruncate"](descriptor, length)

    def replace(self, source, target, **options):
        if self.inside(target):
            self.see("replace", str(source), str(target))
        real["replace"](source, target, **options)

    def unlink(self, path, **options):
        if self.inside(path):
            self.see("unlink", str(path))
        real["unlink"](path, **options)

    def mkdir(self, path, *args, **options):
        if self.inside(path) and not Path(path).is_dir():  # of one that is there changes nothing
            self.see("mkdir", str(path))
        real["mkdir"](path, *args, **options)

    def rmdir(self, path, **options):
        if self.inside(path):
            self.see("rmdir", str(path))
        real["rmdir"](path, **options)

    def listdir(self, path="."):
        if isinstance(path, str | Path) and self.inside(path):
            self.see("list", str(path))
        return real["listdir"](path)
