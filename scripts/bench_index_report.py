"""The table and the plot of ``scripts/bench_index.py``."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Results = Mapping[str, Mapping[str, Any]]

HEADS = ["rows", "form", "build s", "replace s", "bytes a row", "k=10 ms", "of plain", "recall"]
HEADS += ["k=200 ms", "of plain", "recall"]
STYLES = {"plain": ("black", "o"), "torch": ("#0072b2", "s"), "flat": ("#56b4e9", "^")}
STYLES |= {"ivf": ("#d55e00", "D"), "sq8": ("#009e73", "v"), "pq": ("#cc79a7", "P")}


def by_form(results: Results) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Form -> rows -> entry."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for key, entry in results.items():
        count, form = key.split(" ", 1)
        found.setdefault(form, {})[int(count)] = entry
    return {form: dict(sorted(each.items())) for form, each in found.items()}


def exponent(sizes: Mapping[int, Mapping[str, Any]], name: str) -> float | None:
    """B of time ~ rows^b, by least squares of logarithms; ``None`` for a single size."""
    if len(sizes) < 2:
        return None
    rows = np.log([float(count) for count in sizes])
    times = np.log([entry[name] for entry in sizes.values()])
    return float(np.polyfit(rows, times, 1)[0])


def table(results: Results) -> str:
    """All entries in Markdown, and the exponents; in bold what ``auto`` picks."""
    forms = by_form(results)
    lines = [HEADS, ["---"] * len(HEADS)]
    for count in sorted({int(key.split()[0]) for key in results}):
        for form, sizes in forms.items():
            if count in sizes:
                lines.append(_row(count, form, sizes[count], forms["plain"][count]))
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text += ["", "| form | sizes | k=10 grows as | k=200 grows as |", "| --- | --- | --- | --- |"]
    for form, sizes in forms.items():
        powers = [exponent(sizes, name) for name in ("near", "far")]
        if powers[0] is not None:
            cells = [f"rows^{power:.2f}" for power in powers]
            text.append(f"| {form} | {min(sizes):,} to {max(sizes):,} | {' | '.join(cells)} |")
    return "\n".join(text)


def _row(count: int, form: str, entry: Mapping[str, Any], plain: Mapping[str, Any]) -> list[str]:
    picked = entry.get("picked", [])
    name = f"**{form}** ({'; '.join(picked)})" if picked else form
    replaced = f"{entry['replace']:.1f}" if "replace" in entry else ""
    cells = [f"{count:,}", name, f"{entry['build']:.1f}", replaced, f"{entry['bytes']:.0f}"]
    for label in ("near", "far"):
        share = plain[label] / entry[label]
        ratio = f"1/{share:.0f}" if share > 10 else f"{1 / share:.2f}"
        cells += [f"{entry[label]:.1f}", ratio, f"{entry[f'{label}_recall']:.4f}"]
    return cells


def picture(results: Results) -> bytes:
    """Time of 256 queries against rows, for both k, as a PNG file."""
    drawn = Figure(figsize=(7.2, 3.4), dpi=220, layout=ConstrainedLayoutEngine())
    axes = drawn.subplots(1, 2, sharey=True)
    for place, name, title in zip(axes, ("near", "far"), ("k = 10", "k = 200"), strict=True):
        _curves(place, by_form(results), name)
        place.set_title(title, fontsize=8)
    axes[0].set_ylabel("256 queries, one thread [ms]", fontsize=8)
    axes[1].legend(fontsize=6.5, frameon=False, loc="upper left")
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _curves(axes: Axes, forms: Mapping[str, Mapping[int, Mapping[str, Any]]], name: str) -> None:
    for form, sizes in forms.items():
        colour, marker = STYLES.get(form, ("grey", "."))
        axes.plot(
            list(sizes),
            [entry[name] for entry in sizes.values()],
            color=colour,
            marker=marker,
            markersize=4,
            linewidth=1.2,
            linestyle=":" if form.startswith("faiss") else "-",
            label=form,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rows", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(True, which="major", linewidth=0.3, alpha=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
