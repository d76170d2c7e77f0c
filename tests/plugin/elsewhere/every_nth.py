"""A label choice: evenly spaced images of each class."""

from dataclasses import dataclass

import numpy as np

from contsemi.labels.choices.choice import Choice


@dataclass(kw_only=True, eq=False)
class EveryNth(Choice):
    start: int  # place of the first one in its class

    def draw(self, budget, targets, *, seed, names):
        chosen = []
        for label in np.unique(targets):
            own = np.flatnonzero(targets == label)
            number = budget.count(0) if budget.ratio is None else int(budget.ratio * len(own))
            places = self.start + np.arange(number) * (len(own) // number)
            chosen.append(own[places % len(own)])
        return np.concatenate(chosen)
