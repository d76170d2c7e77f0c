"""Writes docs/scale.md: what large streams take, each line with its formula.

    python scripts/scale_page.py

Sizes come from the configuration and from the functions that the runs themselves use; counts of
layers and weights from the network. What was measured is quoted from where it stands.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from contsemi import compose
from contsemi.config import Config
from contsemi.memory.embeddings import label_bytes
from contsemi.models import build_backbone
from contsemi.search.index import bytes_per_row
from contsemi.seeding import generator

FILE = Path(__file__).parents[1] / "docs" / "scale.md"
IMAGES, TEST, CLASSES, TASKS, RANKS = 1_281_167, 50_000, 1000, 100, 8
LABELLED = 0.01  # share of the images
KEPT = 20  # images of each class
TOP = 5  # labels of a row
CAP = 60  # classes of a step
FLOPS = {"resnet18": 1.82e9}  # multiply-adds of one image of 224 pixels: He et al. 2016, table 1
# Multiply-adds a second that a GPU is assumed to reach, a third of an H200's in bfloat16; seconds
# of a small collective operation between GPUs of one machine, assumed.
RATE, LATENCY = 165e12, 20e-6

HEAD = """# Scale

What a stream of ImageNet-1k in {tasks} tasks, and a memory of 10⁸ embeddings, take: arithmetic.
Each line has its formula; the last column says where a number comes from. *Counted* is read off
the network or the code that a run uses, *measured* stands in [results](results.md#index) with
its command, and *assumed* nobody has tried. **No GPU has run any of it.** `python
scripts/scale_page.py` writes this page.

## ImageNet-1k in {tasks} tasks

`experiment=nncsl_imagenet100` with its batch, network and views, on 1000 classes in {tasks}
tasks of {each}: {images:,} training images, {labelled:.0%} of them labelled, {kept} exemplars a
class, all images kept as embeddings with `memory.top_labels={top}`, {ranks} processes with a
GPU each.
"""

MIDDLE = """
*F* are the images of a step in images of 224 pixels: large views, supports of the capped draw,
and small views times (96 / 224)². The student goes forward and backward, the past forward. Rows
are views of images and supports.

Of memory for itself (`RssAnon`), after a run beside before its images were loaded, each of two
processes had 69 and 42 MB more with 250 photos of 128 pixels, 76 and 52 MB more with 2,000, whose
further images have 86 MB (two cores of an Intel Xeon, one run of each; `pytest
tests/devices/test_private_memory.py -m slow -s`, which fails where a process copies them).

## 10⁸ embeddings

Rows of {width} numbers in half precision with {top} labels each. At 10⁷ rows all was measured
as `sq8` on one thread of a CPU; at 10⁸ it is ten times that, but for recall, which nobody
knows: lists are as many ({lists:,} at most), each ten times as long, and as many are visited.
"""

END = """
An index is made anew whenever its rows change, once a task, so that *replace* costs what
*build* does: what it finds depends on its rows alone, and a run that was killed finds the same.
Where `memory.bytes` has no room for it, each process has the index of its part of the rows, and
one collective operation of 16 k bytes a query and process joins what they find; where even the
parts have none, the lists lie in a file in `data.cache`, which needs twice their size while it
grows.

## What grows with the stream, and what does not

| | grows with | where it is bounded |
|---|---|---|
| supports of a step | classes | `batch.classes_per_step` |
| soft labels of a row | classes | `memory.top_labels` |
| rows, exemplars | budget | `memory.embeddings`, `memory.exemplars`, `memory.bytes` |
| the index | rows | `memory.bytes` |
| tables by image (neighbours, clusters) | images of the present task | forgotten with it |
| images | images | not at all as [shards](shards.md); as an array mapped once a machine |
| evaluation | tasks times test images: their square over a run | `evaluate.*` inside tasks |
"""


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        what: is counted.
        formula: in words that the lines above explain.
        value: as it is shown.
        source: where the number comes from.
    """

    what: str
    formula: str
    value: str
    source: str = "arithmetic"


def table(lines: list[Line]) -> str:
    """In Markdown."""
    rows = [("", "formula", "value", ""), ("---", "---", "---", "---")]
    rows += [(each.what, each.formula, each.value, each.source) for each in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def size(count: float) -> str:
    """Bytes as they are said."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count:.0f} B"


def imagenet(config: Config) -> list[Line]:
    """The lines of the stream."""
    network = build_backbone(config.model, generator(0, "network"))
    weights = sum(each.numel() for each in network.parameters())
    norms = sum(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in network.modules())
    objective, batch, side = config.objective, config.batch.unlabelled, config.data.size
    views = objective["large_views"] + objective["small_views"]
    pool = IMAGES / TASKS
    steps = int(pool // batch)
    per_class, labelled_views = objective["supports_per_class"], objective["labelled_views"]
    width, wide = config.projector[-1], network.num_features
    supports, capped = (classes * per_class * labelled_views for classes in (CLASSES, CAP))
    row = 2 * width + label_bytes(TOP, CLASSES) + 16
    dense = 2 * width + label_bytes(None, CLASSES) + 16
    heads = width + CLASSES
    large = objective["large_views"] * batch + capped
    whole = large + objective["small_views"] * batch * (96 / 224) ** 2
    # the student forwards and backwards, the past forwards
    flop = whole * FLOPS["resnet18"] * (3 + 1)
    computing, waiting = flop / RATE / RANKS, (4 * norms + 4) * LATENCY
    held = 3 * 4 * weights + IMAGES * row + CLASSES * KEPT * 25
    shown, epochs = views * batch + capped, config.optim.epochs
    looks = TASKS * 2 * pool + TEST * (TASKS + 1) / 2
    pixels = 3 * side**2
    codes = bytes_per_row("sq8", width)
    kept = CLASSES * KEPT
    run = f"{epochs * steps * TASKS * (computing + waiting) / 3600:.1f} h"
    return [
        Line("images as an array, on disk", "N · 3 side²", size(IMAGES * pixels)),
        Line("the same as shards", "N · about 110 kB", size(IMAGES * 110e3), "assumed"),
        Line("memory of them in each process", "none: mapped, or read ahead", "0", "below"),
        Line("images of a task", "P = N / tasks", f"{pool:,.0f}"),
        Line("steps of a task", f"S = {epochs} epochs · ⌊P / {batch}⌋", f"{epochs * steps:,}"),
        Line(
            "supports, task 100", f"classes · {per_class} · {labelled_views} views", f"{supports:,}"
        ),
        Line(f"`classes_per_step={CAP}`", f"{CAP} · {per_class} · {labelled_views}", f"{capped:,}"),
        Line("exemplars", f"classes · {KEPT} · 3 side²", size(kept * pixels)),
        Line("of these in a state", "25 B each", size(kept * 25), "counted"),
        Line("a row of the memory", f"2 · {width} + 6 · {TOP} + 16", size(row), "counted"),
        Line("with all labels", f"2 · {width} + 2 · classes + 16", size(dense), "counted"),
        Line("all rows", "N · row", size(IMAGES * row)),
        Line("with all labels", "N · row", size(IMAGES * dense)),
        Line("their index as `sq8`", f"N · {codes} B", size(IMAGES * codes), "counted"),
        Line("weights", "student, past, optimiser; 4 B", size(3 * 4 * weights), "counted"),
        Line("a saved state", "weights + rows + exemplars", size(held)),
        Line("disk for states", "3 states", size(3 * held)),
        Line("collectives a step: norms", f"2 · {norms} · 2 sides", f"{4 * norms}", "counted"),
        Line("outputs, gradients, signals", "2 + 1 + 1", "4", "counted"),
        Line(
            "bytes of outputs", "4 · rows / ranks · (D + classes)", size(4 * shown / RANKS * heads)
        ),
        Line("of gradients", "4 B a weight", size(4 * weights), "counted"),
        Line("of features, if read", f"4 · rows / ranks · {wide}", size(4 * shown / RANKS * wide)),
        Line("multiply-adds of a step", "F · 1.82 G · (3 + 1)", f"{flop:.2g}"),
        Line("seconds for these", "/ 1.65·10¹⁴ / ranks", f"{computing:.2g} s", "assumed"),
        Line("for collectives", f"{4 * norms + 4} · 20 µs", f"{waiting:.2g} s", "assumed"),
        Line("of all steps", "S · tasks · both", run, "assumed"),
        Line("images only looked at", "tasks · 2 P + test (tasks + 1) / 2", f"{looks:,.0f}"),
    ]


def embeddings(width: int) -> list[Line]:
    """The lines of the memory."""
    row = 2 * width + label_bytes(TOP, CLASSES) + 16
    index, small, large = bytes_per_row("sq8", width), 10**7, 10**8
    return [
        Line("rows, 10⁷", f"10⁷ · {row} B", size(small * row), "counted"),
        Line("rows, 10⁸", f"10⁸ · {row} B", size(large * row), "counted"),
        Line(
            "index as `sq8`, 10⁷",
            "136 B a row, lengths 4 B more since",
            size(small * index),
            "measured",
        ),
        Line("index as `sq8`, 10⁸", f"10⁸ · {index} B", size(large * index)),
        Line(
            "index as `pq`, 10⁸",
            f"10⁸ · {bytes_per_row('pq', width)} B",
            size(large * bytes_per_row("pq", width)),
        ),
        Line("each of 8 processes, `sq8`", "index / 8", size(large * index / 8)),
        Line("seconds to build, 10⁷", "one thread", "158 s", "measured"),
        Line("seconds to build, 10⁸", "10 ·", "1,580 s"),
        Line("the same on 8 processes", "each its part", "200 s"),
        Line("256 queries, k = 10, 10⁷", "one thread", "70 ms, recall .990", "measured"),
        Line("256 queries, k = 10, 10⁸", "10 ·", "700 ms"),
        Line("on 8 processes", "/ 8 and one gather", "90 ms"),
    ]


def page() -> str:
    """The whole page."""
    config = compose.load(["experiment=nncsl_imagenet100", "data.root=."])
    words = {
        "tasks": TASKS,
        "each": CLASSES // TASKS,
        "images": IMAGES,
        "labelled": LABELLED,
        "kept": KEPT,
        "top": TOP,
        "ranks": RANKS,
        "width": config.projector[-1],
        "lists": 8192,
    }
    parts = [
        HEAD.format(**words),
        table(imagenet(config)),
        MIDDLE.format(**words),
        table(embeddings(config.projector[-1])),
        END,
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
