from types import SimpleNamespace

import torch

from contsemi.distillers.distiller import Distiller
from contsemi.learner.several import SeveralDistillers
from contsemi.types import Needs


class Told(Distiller):
    """Says what it was asked, and has a term of the same name as others."""

    def __init__(self, head):
        super().__init__()
        self.needs = Needs(heads=(head,))
        self.heard = []
        self.scale = torch.nn.Parameter(torch.ones(()))

    def begin(self, experience):
        self.heard.append(("begin", experience))

    def terms(self, step):
        return {"term": self.scale * step.value}

    def after_step(self):
        self.heard.append("after_step")

    def end(self, experience):
        self.heard.append(("end", experience))


def test_every_part_is_asked_and_every_term_kept():
    parts = {"first": Told("projector"), "second": Told("classifier")}
    both = SeveralDistillers(parts)
    assert set(both.needs.heads) == {"projector", "classifier"}
    both.begin(1)
    terms = both.terms(SimpleNamespace(value=torch.tensor(2.0)))
    both.after_step()
    both.end(1)
    assert terms == {"first.term": 2, "second.term": 2}
    for part in parts.values():
        assert part.heard == [("begin", 1), "after_step", ("end", 1)]
    assert len(list(both.parameters())) == 2
    assert both.state_dict().keys() == {"parts.first.scale", "parts.second.scale"}
