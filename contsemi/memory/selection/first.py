"""The images that came first."""

from dataclasses import dataclass

from contsemi.memory.selection.selection import Offered, Selection


@dataclass(kw_only=True, eq=False)
class First(Selection):
    """In order of arrival.

    Source: Kang et al. 2023 (NNCSL), its official code.
    """

    def priorities(self, offered: Offered) -> None:
        """None: the order of arrival."""
