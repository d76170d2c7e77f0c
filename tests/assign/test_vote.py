from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from contsemi.assign.vote import vote


@given(st.lists(st.lists(st.integers(-1, 4), min_size=5, max_size=5), min_size=1, max_size=6))
def test_it_counts(rows):
    winner, share = vote(torch.tensor(rows), 5)
    for i, row in enumerate(rows):
        counts = Counter(label for label in row if label >= 0)
        if not counts:
            assert winner[i] == -1 and share[i] == 0
            continue
        most = max(counts.values())
        assert winner[i] == min(label for label, n in counts.items() if n == most)
        torch.testing.assert_close(share[i], torch.tensor(most / sum(counts.values())))
