"""Which photos are most worth a label, and a sheet on which to give it."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from contsemi import compose
from contsemi.data.sources.decode import Unreadable, decode
from contsemi.data.sources.listing import pool_files, relative, shown
from contsemi.discovery import ROOMS, find_class
from contsemi.errors import InputError
from contsemi.labels.choices.by_embedding import ByEmbedding, Candidates
from contsemi.living.model import Model
from contsemi.living.photos import in_chunks
from contsemi.living.progress import with_a_bar
from contsemi.predictors.gathered import Gathered
from contsemi.seeding import generator

__all__ = ["ask", "sheet"]

SIDE = 192  # pixels of a picture on the sheet


def ask(model: Model, photos: Path, budget: int, by: str) -> tuple[list[str], bytes]:
    """Chooses photos and lays them out.

    Args:
        model: what is known.
        photos: folder of photos, none of which needs a label.
        budget: photos to ask for.
        by: the policy, a name of ``conf/labels/`` that goes by embeddings.

    Returns:
        The names of the chosen photos, below the folder, and the sheet.

    Raises:
        InputError: there are no photos, or no such policy.
    """
    if not photos.is_dir():
        raise InputError(shown(photos), "no such folder", "name a folder of photos")
    policy = _policy(by)
    names, candidates, likeliest = _looked_at(model, photos)
    draw = generator(model.saved.config.seed, "ask")
    chosen = policy.choose(candidates, budget, draw).tolist()
    picked = [names[place] for place in chosen]
    guesses = [model.classes[likeliest[place]] for place in chosen]
    return picked, sheet(photos, picked, guesses, model.classes)


def _policy(by: str) -> ByEmbedding:
    options: Mapping[str, Any] = compose.load([f"labels={by}"]).labels
    given = {key: value for key, value in options.items() if key not in ("name", "ranges")}
    try:
        return find_class(ROOMS["labels"], options["name"], ByEmbedding)(**given)
    except InputError:
        problem = f"{by} does not go by embeddings"
        raise InputError("--by", problem, "use kmeans, kcenter, density or margin") from None


def _looked_at(model: Model, photos: Path) -> tuple[list[str], Candidates, list[int]]:
    asked = model.learner.inference
    names: list[str] = []
    features: list[Tensor] = []
    scores: list[Tensor] = []
    place = {shown(path): relative(photos, path) for path in pool_files(photos).paths}
    paths = pool_files(photos).paths
    for chunk in with_a_bar(in_chunks(paths, model.saved.side), "looking"):
        if len(chunk.images):
            with torch.no_grad():
                outputs = asked.look(torch.from_numpy(chunk.images))
                scores.append(asked.scores(outputs).float().cpu())
            features.append(outputs.features.float().cpu())
            names += [place[name] for name in chunk.names]
    if not names:
        raise InputError(shown(photos), "holds no photo that can be read", "name another folder")
    known = None
    if isinstance(asked.decides, Gathered) and not asked.decides.normalise:
        found = asked.space(outputs)[1].cpu()
        known = found[found.isfinite().all(1)]
    rows = torch.cat(features)
    if known is not None and known.shape[1] != rows.shape[1]:
        known = None
    whole = torch.cat(scores)
    candidates = Candidates(embeddings=rows, labelled=known, scores=whole)
    return names, candidates, whole.argmax(1).tolist()


def sheet(
    photos: Path, names: Sequence[str], guesses: Sequence[str], classes: Sequence[str]
) -> bytes:
    """A page that needs no network: click a class or type a new one, then save ``labels.csv``.

    Args:
        photos: the folder.
        names: of photos in it, below it.
        guesses: the model's of each.
        classes: that it knows.
    """
    options = "".join(f"<option>{escape(name)}</option>" for name in classes)
    cards = "".join(
        f'<figure data-file="{escape(name)}">'
        f'<img alt="{escape(name)}" src="{_picture(photos / name)}">'
        f"<figcaption>{escape(name)}</figcaption>"
        f'<div class="near">{_buttons(guess, classes)}</div>'
        '<input list="classes" placeholder="class" aria-label="class"></figure>'
        for name, guess in zip(names, guesses, strict=True)
    )
    return _PAGE.format(options=options, cards=cards, count=len(names)).encode()


def _buttons(guess: str, classes: Sequence[str]) -> str:
    """The model's guess first, then the others, as far as there is room."""
    order = [guess, *(name for name in classes if name != guess)][:6]
    return "".join(f'<button type="button">{escape(name)}</button>' for name in order)


def _picture(path: Path) -> str:
    try:
        pixels = decode(path, SIDE)
    except Unreadable:
        return ""
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Which class?</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 15px system-ui, sans-serif; margin: 1.5rem; color-scheme: light dark }}
main {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)) }}
figure {{ margin: 0 }} img {{ width: 100%; border-radius: 6px }}
figcaption {{ font-size: 12px; overflow-wrap: anywhere }}
input {{ width: 100%; box-sizing: border-box }} .near button {{ margin: 2px }}
figure.done img {{ outline: 4px solid #2a9d3a }}
header {{ position: sticky; top: 0; padding: .5rem 0; background: Canvas }}
</style></head><body>
<header><strong id="done">0</strong> of {count} have a class
<button id="save" type="button">Save labels.csv</button>
put it into the folder of the photos</header>
<datalist id="classes">{options}</datalist><main>{cards}</main>
<script>
const figures = [...document.querySelectorAll("figure")];
const chosen = figure => figure.querySelector("input").value.trim();
const quoted = text => /[",\\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
function show() {{
  for (const figure of figures) figure.classList.toggle("done", chosen(figure) !== "");
  document.getElementById("done").textContent = figures.filter(chosen).length;
}}
for (const figure of figures) {{
  const input = figure.querySelector("input");
  input.addEventListener("input", show);
  for (const button of figure.querySelectorAll("button"))
    button.addEventListener("click", () => {{ input.value = button.textContent; show(); }});
}}
document.getElementById("save").addEventListener("click", () => {{
  const rows = figures.filter(chosen).map(f => quoted(f.dataset.file) + "," + quoted(chosen(f)));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["file,class\\n" + rows.join("\\n") + "\\n"]));
  link.download = "labels.csv";
  link.click();
}});
</script></body></html>
"""
