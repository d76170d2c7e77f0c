"""Ends the process with code 99 at the first thing that only a hostile file would do.

Python reports each of these to an audit hook before it happens, whoever asks for it, in C or not.
"""

import os
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = 99
NEVER = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.putenv",
    "pty.spawn",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "ctypes.dlopen",
    "code.__new__",
    "function.__new__",
    "webbrowser.open",
    "urllib.Request",
    "builtins.input",
)
WRITES = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime")
PAIRS = ("os.rename", "os.link", "os.symlink", "shutil.copyfile", "shutil.move")
# Code made of text is theirs alone: what they make of it comes from our own source.
MAKERS = ("/dataclasses.py", "/collections/__init__.py", "/typing.py", "/enum.py")
FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def forbid(folders):
    """Begins to watch.

    Args:
        folders: where files may be written; also ``/dev/null``.
    """
    places = tuple(os.path.realpath(folder) for folder in folders)
    paths = sysconfig.get_paths()
    trusted = (str(ROOT), *(os.path.realpath(paths[k]) for k in ("stdlib", "purelib", "platlib")))

    def inside(path):
        real = os.path.realpath(os.fsdecode(path))
        return real == os.devnull or any(
            real == place or real.startswith(place + "/") for place in places
        )

    def of_code(code):
        file = code.co_filename
        if not file.startswith(("<", "/dev")):
            if os.path.realpath(file).startswith(trusted):
                return ""
        elif file.startswith("<frozen"):
            return ""
        asker = sys._getframe(3).f_code.co_filename  # beyond problem() and hook()
        return "" if file[0] == "<" and asker.endswith(MAKERS) else f"exec {file} in {asker}"

    def problem(event, given):
        if event in NEVER:
            return f"{event} {given!r:.200}"
        if event == "exec" and hasattr(given[0], "co_filename"):
            return of_code(given[0])
        if event == "open" and isinstance(given[0], str | bytes):
            path, mode, flags = given
            writes = bool(set(mode or "") & set("wax+")) or (flags or 0) & FLAGS
            return f"open {path!r} {mode}" if writes and not inside(path) else ""
        if event in WRITES and isinstance(given[0], str | bytes | os.PathLike):
            return "" if inside(given[0]) else f"{event} {given!r:.200}"
        if event in PAIRS:
            return "" if inside(given[1]) else f"{event} {given!r:.200}"
        return ""

    watching = True

    def hook(event, given):
        nonlocal watching
        if watching and (said := problem(event, given)):
            watching = False
            os.write(2, f"FORBIDDEN {said}\n".encode())
            os._exit(CODE)

    sys.addaudithook(hook)
