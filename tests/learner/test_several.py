from types import SimpleNamespace

import pytest
import torch

from contsemi.compose import files
from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError, MethodFailed
from contsemi.learner.parts import build_distiller
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


def test_each_has_its_weights_and_errors_by_its_name():
    def section(name, **change):
        values = files.declared("distiller", name)[0] | change
        return {key: value for key, value in values.items() if key != "name"}

    both = {"name": "projected+simreg", "projected": section("projected")}
    weighed = section("simreg", weights={"regression": 0.25})
    made, weights = build_distiller(both | {"simreg": weighed})
    assert isinstance(made, SeveralDistillers)
    assert weights == {"projected.projected": 1.0, "simreg.regression": 0.25}
    with pytest.raises(InputError, match=r"^distiller\.simreg\.layers: expected 4, or 2, got 3"):
        build_distiller(both | {"simreg": section("simreg", layers=3)})


def test_a_term_that_is_none_is_blamed_on_its_distiller():
    class Wrong(Told):
        def terms(self, step):
            return {"term": 3.0}

    both = SeveralDistillers({"first": Told("projector"), "second": Wrong("classifier")})
    with pytest.raises(MethodFailed, match="the term term is a float"):
        both.terms(SimpleNamespace(value=torch.tensor(2.0)))
