"""Where weights come from that were not trained in the run: every record names it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint that a network started from.

    Attributes:
        name: of the checkpoint.
        source: a package, a hub or a file.
        licence: SPDX name, or ``unknown``.
        sha256: of the file, or of the tensors where there is no file.
        labels: data whose labels it was trained on; empty for none, ``unknown`` if nobody says.
    """

    name: str
    source: str
    licence: str
    sha256: str
    labels: str
