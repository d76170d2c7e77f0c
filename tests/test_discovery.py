"""Names become modules: ours, another package's, and what is said of a name that is neither."""

import importlib.metadata
import sys
import types

import pytest

from contsemi import discovery
from contsemi.discovery import find_class, find_module
from contsemi.distillers.distiller import Distiller
from contsemi.errors import InputError, MethodFailed
from contsemi.learner.parts import build_part
from contsemi.objectives.objective import Objective
from contsemi.objectives.suave import Suave
from contsemi.types import Needs


class Ours(Objective):
    def __init__(self, *, strength: float) -> None:
        super().__init__()
        self.needs = Needs()
        self.strength = strength


@pytest.fixture
def plug_in(monkeypatch):
    """Another package's module ``elsewhere.methods`` as the entry point ``theirs``."""

    def install(*classes, room="objectives"):
        module = types.ModuleType("elsewhere.methods")
        for each in classes:
            own = type(each.__name__, (each,), {"__module__": "elsewhere.methods"})
            setattr(module, each.__name__, own)
        module.imported = Suave  # classes of other modules do not count
        monkeypatch.setitem(sys.modules, "elsewhere", types.ModuleType("elsewhere"))
        monkeypatch.setitem(sys.modules, "elsewhere.methods", module)
        entry = importlib.metadata.EntryPoint("theirs", "elsewhere.methods", f"contsemi.{room}")
        installed = {f"contsemi.{room}": [entry]}
        monkeypatch.setattr(discovery, "entry_points", lambda group: installed.get(group, []))
        return module

    return install


def test_a_name_is_a_module():
    assert find_module("objectives", "suave").__name__ == "contsemi.objectives.suave"
    assert find_class("objectives", "suave", Objective) is Suave


@pytest.mark.parametrize(
    "name",
    ["sauve", "", "Suave", "../suave", "suave.Suave", "os; rm", "\u0455uave", "suave\n", "_x", "1"],
)
@pytest.mark.parametrize("room", ["objectives", "distillers"])
def test_a_wrong_name_is_said(room, name):
    key = room.removesuffix("s")
    with pytest.raises(InputError, match=rf"^{key}\.name: no file .* use a name of conf/{key}/$"):
        find_module(room, name)


def test_nothing_outside_the_room_is_imported(monkeypatch):
    for name in ("objectives.suave", "..pipeline", "pipeline"):
        with pytest.raises(InputError):
            find_module("distillers", name)


@pytest.mark.parametrize("name", ["objective", "nnd"])
def test_a_module_that_is_no_method(name):
    """The contract itself, and (were it there) a module of something else."""
    room = "objectives" if name == "objective" else "distillers"
    base = Objective
    with pytest.raises(InputError, match=r"defines 0 subclasses of Objective, expected one"):
        find_class(room, name, base)


def test_another_package_joins_through_an_entry_point(plug_in):
    module = plug_in(Ours)
    assert find_module("objectives", "theirs") is module
    assert find_class("objectives", "theirs", Objective) is module.Ours
    with pytest.raises(InputError, match=r"distiller\.name"):
        find_module("distillers", "theirs")
    part, weights = build_part(
        {"name": "theirs", "weights": {"labels": 2}, "strength": 0.5}, Objective
    )
    assert part.strength == 0.5
    assert weights == {"labels": 2.0}


def test_our_own_name_wins(plug_in, monkeypatch):
    plug_in(Ours)
    entry = importlib.metadata.EntryPoint("suave", "elsewhere.methods", "contsemi.objectives")
    monkeypatch.setattr(discovery, "entry_points", lambda group: [entry])
    assert find_class("objectives", "suave", Objective) is Suave


def test_two_classes_are_one_too_many(plug_in):
    class Second(Ours):
        pass

    plug_in(Ours, Second)
    with pytest.raises(
        MethodFailed, match=r"line \d+: defines 2 subclasses of Objective, expected"
    ):
        find_class("objectives", "theirs", Objective)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [({}, "missing .*'strength'"), ({"strength": 1.0, "streng": 2.0}, "unexpected .*'streng'")],
)
def test_a_key_that_the_class_does_not_take(keys, problem, plug_in):
    plug_in(Ours)
    with pytest.raises(InputError, match=rf"^objective: .*{problem}; use the keys of theirs.yaml"):
        build_part({"name": "theirs", **keys}, Objective)


def test_a_distiller_without_keys():
    part, weights = build_part({"name": "none"}, Distiller)
    assert isinstance(part, Distiller)
    assert weights == {}


def test_a_package_in_two_folders_is_where_its_yaml_files_are(tmp_path, monkeypatch):
    for side in ("further", "first"):  # the last one is looked at first
        (tmp_path / side / "in_two_folders").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / side)
    conf = tmp_path / "further" / "in_two_folders" / "conf"
    conf.mkdir()
    entry = importlib.metadata.EntryPoint("mine", "in_two_folders.mine", "contsemi.objectives")
    monkeypatch.setattr(discovery, "entry_points", lambda: importlib.metadata.EntryPoints([entry]))
    known = (discovery.offering, discovery.conf_folders)
    for each in known:
        each.cache_clear()
    try:
        assert discovery.offering() == {"in_two_folders": conf.parent}
        assert discovery.conf_folders() == (("in_two_folders", conf),)
    finally:
        for each in known:
            each.cache_clear()
