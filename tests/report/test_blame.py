"""A bug in a method's own file: one line that names it, its own lines below, a code of its own."""

import importlib
import os
import re
import sys
import textwrap
from contextlib import suppress

import pytest
import torch

from contsemi import run
from contsemi.discovery import find_class
from contsemi.errors import InputError, MethodFailed
from contsemi.learner.terms import Learning, checked_terms
from contsemi.models import build_backbone
from contsemi.objectives.objective import Objective
from contsemi.report.blame import blamed
from contsemi.report.door import enter

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


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nreturn (", "line 2: SyntaxError"),
        ("raise RuntimeError('boom')", "line 1: RuntimeError: boom"),
        ("import nonesuch", "line 1: ModuleNotFoundError: No module named 'nonesuch'"),
        ("import sys; sys.exit(3)", "line 1: calls sys.exit(3)"),
    ],
)
@pytest.mark.parametrize("file", ["method.py", "helper.py", "__init__.py"])
def test_a_file_of_an_installed_package_that_fails_while_it_is_imported(
    file, source, said, tmp_path, monkeypatch
):
    package = tmp_path / "hpackage"
    package.mkdir()
    for name in ("__init__.py", "method.py", "helper.py"):
        (package / name).write_text("import hpackage.helper\n" if name == "method.py" else "")
    (package / file).write_text(source + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.setattr("contsemi.discovery.offered", lambda room: {"own": "hpackage.method"})
    monkeypatch.setattr("contsemi.report.blame.offering", lambda: {"hpackage": package})
    try:
        failed = failure_of(lambda: find_class("objectives", "own", Objective))
    finally:
        for name in [name for name in sys.modules if name.startswith("hpackage")]:
            del sys.modules[name]
    assert str(failed).startswith(f"{package / file}: {said}")
    assert "importlib" not in failed.trace
    assert failed.exit_code == 8


@pytest.mark.parametrize(
    ("room", "source", "said"),
    [
        (
            "objectives",
            "import torch\n\nclass Mine:\n    pass\n",
            "line 3: defines 0 subclasses of",
        ),
        ("objectives", "def terms(step):\n    pass\n", "line 1: defines 0 subclasses of"),
        ("models", "class Net:\n    pass\n", "line 1: has no function build()"),
    ],
)
def test_a_file_without_the_class_that_was_asked_for(room, source, said, tmp_path, monkeypatch):
    (tmp_path / "no_method.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "no_method", raising=False)
    importlib.invalidate_caches()
    monkeypatch.setattr("contsemi.discovery.offered", lambda room: {"own": "no_method"})
    with pytest.raises(MethodFailed) as caught:
        if room == "models":
            build_backbone({"name": "own"}, torch.Generator())
        else:
            find_class(room, "own", Objective)
    assert str(caught.value).startswith(f"{tmp_path / 'no_method.py'}: {said}")


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise KeyboardInterrupt", 8, "own_method.py: line LINE in terms(): KeyboardInterrupt;"),
        ("raise BrokenPipeError(32, 'of mine')", 8, "own_method.py: line LINE in terms(): Broken"),
        (
            "raise MemoryError",
            6,
            "more memory was asked for by .*own_method.py, line LINE in terms()",
        ),
        ("raise GeneratorExit", 8, "own_method.py: line LINE in terms(): GeneratorExit;"),
        ("raise KeyboardInterrupt(15)", 143, None),  # as a signal is told, in whatever code
    ],
)
def test_what_a_method_raises_itself_is_not_taken_for_the_users_keyboard(
    mine, body, code, said, capsys
):
    method = mine(body)
    assert enter(lambda: checked_terms(method, {})) == code
    lines = capsys.readouterr().err.splitlines()
    assert bool(lines) == (said is not None)
    if said is not None:
        assert re.search(said.replace("LINE", str(LINE + 1)).replace("()", r"\(\)"), lines[0]), (
            lines
        )


def test_a_reader_that_went_while_a_method_printed_is_no_fault_of_it(mine, monkeypatch):
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w") as stream, suppress(BrokenPipeError):  # noqa: PTH123
        monkeypatch.setattr("sys.stdout", stream)
        method = mine("print('x', flush=True)")
        assert enter(lambda: checked_terms(method, {})) == 141


def test_a_module_that_an_installed_package_offers_and_lacks(monkeypatch):
    monkeypatch.setattr("contsemi.discovery.offered", lambda room: {"own": "nonesuch.method"})
    with pytest.raises(InputError, match=r"objective: .* offers 'own' as nonesuch.method, which"):
        find_class("objectives", "own", Objective)


def test_a_bug_of_ours_is_not_the_methods():
    failed = failure_of(lambda: checked_terms(None, None))
    assert failed is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return None", "terms(): returned None, expected a dict of scalar tensors"),
        ("return [1.0]", "terms(): returned a list"),
        ("return {'entropy': 0.5}", "the term entropy is a float, expected a scalar tensor"),
        ("return {'entropy': None}", "the term entropy is None"),
        ("return {'entropy': step}", "the term entropy is a Tensor of float32 [64], expected"),
    ],
)
def test_terms_that_are_no_scalars(mine, body, problem):
    with pytest.raises(MethodFailed) as caught:
        checked_terms(mine(body), torch.zeros(64))
    assert problem in str(caught.value)
    assert f"own_method.py: line {LINE} in terms()" in str(caught.value)


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


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (MemoryError("Unable to allocate 3.00 GiB for an array"), 6, "3 GiB at once was asked for"),
        (RuntimeError("can't allocate memory: tried to allocate 2147483648 bytes"), 6, "2 GiB"),
        (KeyboardInterrupt(15), 143, ""),
    ],
)
def test_every_other_command_names_what_the_machine_lacks(raised, code, said, capsys):
    def fails():
        raise raised

    assert enter(fails) == code
    assert said in capsys.readouterr().err


def test_every_other_command_names_the_methods_file(mine, capsys):
    method = mine("raise ValueError('my own bug')")
    assert enter(lambda: checked_terms(method, {})) == 8
    lines = capsys.readouterr().err.splitlines()
    assert re.match(
        r"error: .*own_method.py: line \d+ in terms\(\): ValueError: my own bug", lines[0]
    )
    assert lines[-1] == "ValueError: my own bug"


def test_every_other_command_shows_a_fault_of_ours_as_it_is():
    with pytest.raises(ZeroDivisionError):
        enter(lambda: 1 // 0)


class Rows:
    steps_per_epoch = 30

    def __init__(self, labels=4):
        self.labels = torch.zeros(labels)
        self.needs = type("Needs", (), {"rows": {"labelled"}})


def test_twenty_steps_without_a_gradient_are_enough():
    learning = Learning("mine", trains=True)
    for _ in range(19):
        learning.see(Rows(), torch.zeros(()))
    with pytest.raises(InputError, match="nothing to learn from"):
        learning.see(Rows(), torch.zeros(()))


def test_steps_without_a_gradient_before_the_first_label_or_after_one_are_none():
    learning = Learning("mine", trains=True)
    for _ in range(100):
        learning.see(Rows(labels=0), torch.zeros(()))
    learning.see(Rows(), torch.zeros((), requires_grad=True))
    for _ in range(100):
        learning.see(Rows(), torch.zeros(()))
