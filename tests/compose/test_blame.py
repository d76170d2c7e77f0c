"""A bug in a method's own file: one line that names it, its own lines below, a code of its own."""

import importlib
import sys
import textwrap

import pytest
import torch

from contsemi import run
from contsemi.compose.blame import blamed
from contsemi.discovery import find_class
from contsemi.errors import InputError, MethodFailed
from contsemi.learner.terms import Learning, checked_terms
from contsemi.objectives.objective import Objective

HEAD = """
    from dataclasses import dataclass
    from contsemi.objectives.objective import Objective


    @dataclass(kw_only=True, eq=False)
    class Mine(Objective):
        def terms(self, step):
"""
LINE = len(HEAD.splitlines())  # of the first line of terms()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Makes the user's own objective with this body of ``terms``."""

    def make(body):
        source = textwrap.dedent(HEAD) + textwrap.indent(textwrap.dedent(body), " " * 8) + "\n"
        (tmp_path / "own_method.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "own_method", raising=False)
        importlib.invalidate_caches()
        monkeypatch.setattr("contsemi.discovery.offered", lambda room: {"own": "own_method"})
        return find_class("objectives", "own", Objective)(
            large_views=1, small_views=0, labelled_views=1, supports_per_class=0
        )

    return make


def failure_of(call):
    try:
        call()
    except BaseException as error:  # also sys.exit
        return blamed(error)
    raise AssertionError("nothing failed")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('my own bug')", "ValueError: my own bug"),
        ("return torch.zeros(())", "NameError: name 'torch' is not defined"),
        ("import sys; sys.exit(0)", "calls sys.exit(0)"),
        ("return {'a': step['b']}", "KeyError: b"),
        ("assert False", "AssertionError"),
    ],
)
def test_file_line_and_member_are_named(mine, body, said):
    failed = failure_of(lambda: checked_terms(mine(body), {}))
    assert f"own_method.py: line {LINE + 1} in terms(): {said}" in str(failed)
    assert "own_method.py" in failed.trace
    assert "learner/terms.py" not in failed.trace
    assert failed.exit_code == 8


def test_a_file_that_cannot_be_parsed(mine, tmp_path):
    with pytest.raises(SyntaxError) as caught:
        mine("return (")
    # A module of ours that cannot be parsed stands in one of the rooms; this one does not.
    assert blamed(caught.value) is None


def test_a_bug_of_ours_is_not_the_methods():
    failed = failure_of(lambda: checked_terms(None, None))
    assert failed is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return None", "terms() returned None, expected a dict of scalar tensors"),
        ("return [1.0]", "terms() returned a list"),
        ("return {'entropy': 0.5}", "the term entropy is a float, expected a scalar tensor"),
        ("return {'entropy': None}", "the term entropy is None"),
        ("return {'entropy': step}", "the term entropy has the shape [64], expected a scalar"),
    ],
)
def test_terms_that_are_no_scalars(mine, body, problem):
    with pytest.raises(MethodFailed) as caught:
        checked_terms(mine(body), torch.zeros(64))
    assert problem in str(caught.value)
    assert "own_method.py line" in str(caught.value)


def test_the_command_shows_the_line_and_below_it_the_users_own_traceback(monkeypatch, capsys):
    def fails(*_):
        raise MethodFailed("mine.py", "line 3: ValueError", trace="  File mine.py\nValueError")

    monkeypatch.setattr(run, "_main", fails)
    assert run.main([]) == 8
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "error: mine.py: line 3: ValueError; mend it there",
        "  File mine.py",
        "ValueError",
    ]


class Rows:
    steps_per_epoch = 30

    def __init__(self, labels=4):
        self.labels = torch.zeros(labels)
        self.needs = type("Needs", (), {"rows": {"labelled"}})


def test_all_weights_zero_leave_nothing_to_learn_from():
    with pytest.raises(InputError, match="no loss term has a weight above 0"):
        Learning("mine", {"labels": 0.0, "clustering": 0.0}, trains=True)
    Learning("mine", {"labels": 0.0}, trains=False)
    Learning("mine", {"labels": 0.0, "clustering": 0.1}, trains=True)


def test_twenty_steps_without_a_gradient_are_enough():
    learning = Learning("mine", {"labels": 1.0}, trains=True)
    for _ in range(19):
        learning.see(Rows(), torch.zeros(()))
    with pytest.raises(InputError, match="nothing to learn from"):
        learning.see(Rows(), torch.zeros(()))


def test_steps_without_a_gradient_before_the_first_label_or_after_one_are_none():
    learning = Learning("mine", {"labels": 1.0}, trains=True)
    for _ in range(100):
        learning.see(Rows(labels=0), torch.zeros(()))
    learning.see(Rows(), torch.zeros((), requires_grad=True))
    for _ in range(100):
        learning.see(Rows(), torch.zeros(()))
