"""A page on which to give photos their class: click one or type a new one, save ``labels.csv``."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import escape
from PIL import Image

from contsemi.data.sources.decode import Unreadable, decode
from contsemi.data.sources.listing import relative
from contsemi.report.pages.environment import fill

SIDE = 192  # pixels of a picture
NEAR = 6  # classes to click on; the others are typed


def sheet(photos: Path, asked: Sequence[tuple[Path, str]], classes: Sequence[str]) -> bytes:
    """The page; it needs no network and no other file.

    Args:
        photos: the folder.
        asked: photos in it, below it, and the model's guess of each.
        classes: that it knows.
    """
    figures = [
        # As the list of labels is to name it, to the letter: only escaped.
        {"file": escape(name), "name": name, "source": _picture(path), "near": near}
        for path, guess in asked
        for name in [relative(photos, path)]
        for near in [[guess, *(each for each in classes if each != guess)][:NEAR]]
    ]
    title = f"Which class? {len(asked)} photos"
    return fill("sheet.html", title=title, figures=figures, classes=classes, count=len(asked))


def _picture(path: Path) -> str:
    try:
        pixels = decode(path, SIDE)
    except Unreadable:
        return ""
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
