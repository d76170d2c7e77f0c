"""Where the labels at the ends of curves go, so that none covers another."""

from collections.abc import Sequence


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Positions as near to ``wanted`` as a distance of ``gap`` allows, in the same order.

    Args:
        wanted: positions in any order.
        gap: least distance between two labels; smaller where they would not fit.
        low: least position.
        high: greatest position.
    """
    if not wanted:
        return []
    order = sorted(range(len(wanted)), key=lambda label: wanted[label])
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))

    def centre(group: tuple[float, int]) -> float:
        half = gap * (group[1] - 1) / 2
        return min(max(group[0] / group[1], low + half), high - half)

    # Labels that touch form a group (sum of what they wanted, their number) around its mean.
    groups: list[tuple[float, int]] = []
    for label in order:
        group = (wanted[label], 1)
        while groups and centre(group) - centre(groups[-1]) < gap * (group[1] + groups[-1][1]) / 2:
            total, count = groups.pop()
            group = (group[0] + total, group[1] + count)
        groups.append(group)
    positions = (
        centre(group) + gap * (member - (group[1] - 1) / 2)
        for group in groups
        for member in range(group[1])
    )
    places = dict(zip(order, positions, strict=True))
    return [places[label] for label in range(len(wanted))]
