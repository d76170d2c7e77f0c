"""Numbers as people read them: percentages, durations, sizes."""

import math
import re
import unicodedata

# Classes of characters that change the direction of the text after them (Unicode, annex 9).
TURNING = frozenset(["LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"])

# Metrics that are no shares, by name.
COUNTS = ("evaluations", "recovery_steps", "discovered_classes")
# Nats, labels of a class, distances and levels.
PLAIN = (
    "negative_log_likelihood",
    "least",
    "most",
    "distance",
    "distance_of_mistakes",
)
# Metrics of which less is better, by a part of their names.
LESS = ("forgetting", "gap_depth", "recovery_steps", "_error", "likelihood", "distance")


def is_share(metric: str) -> bool:
    """Whether a metric of this name is read in percent."""
    return metric not in (*COUNTS, *PLAIN)


def less_is_better(metric: str) -> bool:
    """Whether the least of a metric of this name is the best."""
    return any(part in metric for part in LESS)


def percent(fraction: float | None) -> str:
    """A fraction as a percentage of at most four characters, ``-`` where there is none."""
    if fraction is None or math.isnan(fraction):
        return "-"
    text = f"{100 * fraction:.1f}"
    return {"100.0": "100", "-0.0": "0.0", "-100.0": "-100"}.get(text, text)


def duration(seconds: float) -> str:
    """Seconds in the two greatest units that say something."""
    if not math.isfinite(seconds) or seconds < 0:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes} min {whole % 60:02d} s"
    if days < 1:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days} d {hours % 24} h"


def size(count: float) -> str:
    """Bytes in the unit that leaves one to four digits before the point."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def rate(images_per_second: float) -> str:
    """Images a second, to three digits where they are few."""
    if not math.isfinite(images_per_second):
        return "- images/s"
    digits = 1 if images_per_second < 100 else 0
    return f"{images_per_second:,.{digits}f} images/s"


def one_line(text: object) -> str:
    """Foreign text (class names, folders) without characters that move the cursor or turn text."""
    return "".join(
        "?"
        if unicodedata.category(character) == "Cc"
        or unicodedata.bidirectional(character) in TURNING
        else character
        for character in re.sub(r"\s+", " ", str(text))
    ).strip()
