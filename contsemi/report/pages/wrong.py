"""The wrong predictions of which a run was surest, with the files where they are files."""

import io
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contsemi.report.material import Material

MOST_BYTES = 20_000_000
SIDE = 144


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake: the file or row, its class and the one it was taken for, and how surely."""

    file: str
    true: str
    predicted: str
    confidence: float
    image: str


def surest_mistakes(material: Material, most: int = 24) -> list[Wrong]:
    """At most so many mistakes after the last task, the surest first."""
    if (last := material.last) is None:
        return []
    wrong = np.flatnonzero(last.predicted != last.targets)
    wrong = wrong[np.argsort(-last.confidence[wrong], kind="stable")][:most]
    names, found = material.names, []
    for place in wrong.tolist():
        row = int(last.rows[place])
        path = material.paths[row] if 0 <= row < len(material.paths) else ""
        found.append(
            Wrong(
                path or f"test image {row}",
                names.of_class(int(last.targets[place])),
                names.of_class(int(last.predicted[place])),
                float(last.confidence[place]),
                _thumbnail(Path(path)) if path else "",
            )
        )
    return found


def _thumbnail(path: Path) -> str:
    """The image as a small PNG in a data URI; empty where it is gone or is no image."""
    from PIL import Image

    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return ""
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")) as image:
            image.draft("RGB", (SIDE, SIDE))
            image.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
