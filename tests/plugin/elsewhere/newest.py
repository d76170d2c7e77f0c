"""An exemplar selection: the greatest ids, in groups."""

from dataclasses import dataclass

from contsemi.memory.selection.selection import Selection


@dataclass(kw_only=True, eq=False)
class Newest(Selection):
    group_of: int  # images that count as equally new

    def priorities(self, offered):
        return -(offered.ids // self.group_of).double()
