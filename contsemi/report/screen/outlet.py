"""A text stream that a run may write to for days: it never fails, it falls silent."""

import os
from contextlib import suppress
from typing import IO, TextIO, cast

# What we print beyond ASCII, for terminals that cannot show it.
PLAIN = str.maketrans({"·": "-", "…": "...", "±": "+/-"})


def outlet(stream: TextIO) -> IO[str]:
    """Wrap ``stream`` so that writing to it cannot end a run.

    A closed pipe, a full log disk or a closed file silences it for good; a character that its
    encoding lacks is replaced.
    """
    return cast("IO[str]", _Outlet(stream))


class _Outlet:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.silent = False

    def write(self, text: str) -> int:
        if not self.silent:
            try:
                self._stream.write(self._encodable(text))
            except (OSError, ValueError):
                self._fall_silent()
        return len(text)

    def flush(self) -> None:
        if not self.silent:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._fall_silent()

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (AttributeError, OSError, ValueError):
            return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def _encodable(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            plain = text.translate(PLAIN)
            return plain.encode(self.encoding, "replace").decode(self.encoding)
        return text

    def _fall_silent(self) -> None:
        """Point the descriptor at nothing, or Python fails once more when it flushes at exit."""
        self.silent = True
        with suppress(OSError, ValueError, AttributeError):
            descriptor = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
