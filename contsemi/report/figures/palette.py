"""Colours that remain distinct with any colour vision, in print and on dark paper."""

__all__ = ["HEAT", "task_colours"]

# Okabe and Ito (2008), without black and yellow, which vanish on one of the two papers.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Anchors of viridis from 0.1 to 0.8: its end is too pale for a line on white paper.
VIRIDIS = ("#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58")
HEAT = OKABE_ITO[0]


def task_colours(tasks: int) -> list[str]:
    """One colour a task: unordered hues for few, an ordered scale for many."""
    if tasks <= len(OKABE_ITO):
        return list(OKABE_ITO[:tasks])
    return [_between(task / (tasks - 1) * (len(VIRIDIS) - 1)) for task in range(tasks)]


def _between(position: float) -> str:
    low = min(int(position), len(VIRIDIS) - 2)
    share = position - low
    pair = (bytes.fromhex(VIRIDIS[low][1:]), bytes.fromhex(VIRIDIS[low + 1][1:]))
    mixed = (round(a + share * (b - a)) for a, b in zip(*pair, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
