"""A page on which to give photos their class: click one or type a new one, save ``labels.csv``."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import escape
from PIL import Image

from contsemi.data.sources.decode import Unreadable, decode
from contsemi.data.sources.listing import relative
from contsemi.report.pages.environment import fill

SIDE = 192  # pixels of a picture
NEAR = 6  # classes to click on; the others are typed


def sheet(
    photos: Path,
    asked: Sequence[tuple[Path, str]],
    classes: Sequence[str],
    before: Mapping[str, str],
) -> bytes:
    """The page; it needs no network and no other file.

    Args:
        photos: the folder.
        asked: photos in it, below it, and the model's guess of each.
        classes: that it knows.
        before: class of each photo that has a label already; the saved list has these, too, as it
            is put in the place of the one that is there.
    """
    # As the list of labels is to name them, to the letter: only escaped.
    names = [escape(each) for each in classes]
    figures = [
        {"file": escape(name), "name": name, "source": _picture(path), "near": near}
        for path, guess in asked
        for name in [relative(photos, path)]
        for near in [[escape(guess), *(each for each in names if each != escape(guess))][:NEAR]]
    ]
    rows = [(escape(file), escape(name)) for file, name in before.items()]
    title = f"Which class? {len(asked)} photos"
    return fill(
        "sheet.html", title=title, figures=figures, classes=names, count=len(asked), before=rows
    )


def _picture(path: Path) -> str:
    try:
        pixels = decode(path, SIDE)
    except Unreadable:
        return ""
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
