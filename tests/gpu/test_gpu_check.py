"""The check for GPUs: its logic, and its parts on the pretended one."""

import json
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from contsemi.models.network import Network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import gpu_check

    yield gpu_check
    for name in [name for name in sys.modules if name.partition(".")[0] == "gpu_parts"]:
        del sys.modules[name]


def plant(monkeypatch, check):
    """A part that does what ``check`` does."""
    module = ModuleType("gpu_parts.norm")
    module.check = check
    monkeypatch.setitem(sys.modules, "gpu_parts.norm", module)


def test_what_a_part_finds_raises_or_lacks_is_said(gpu_check, monkeypatch):
    def good(device, quick):
        yield "first", True, "fine", {"ms": 1.5}

    def lame(device, quick):
        yield "first", True, "", {}
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    def bare(device, quick):
        import nobody_has_this

        yield nobody_has_this

    found = {}
    for check in (good, lame, bare):
        plant(monkeypatch, check)
        found[check.__name__] = list(gpu_check.run_part("norm", "cuda:0", quick=True))
    assert [(x.name, x.holds, x.numbers) for x in found["good"]] == [("first", True, {"ms": 1.5})]
    assert [x.holds for x in found["lame"]] == [True, False]
    assert "RuntimeError: CUDA error: an illegal memory access (test_gpu_check.py:" in (
        found["lame"][1].detail
    )
    assert found["bare"][0].holds is False
    assert found["bare"][0].detail == "lacks the package nobody_has_this"
    text = gpu_check.table(found["lame"])
    assert text.splitlines()[2:] and "**no**" in text and "| yes |" in text


def test_one_file_one_table_one_exit_code(gpu_check, monkeypatch, tmp_path):
    """Each part is a process of its own, which may fail, hang or find something bad."""

    def outcome(holds):
        finding = gpu_check.Finding("norm", "layout", holds)
        monkeypatch.setattr(gpu_check, "_apart", lambda *_: iter([finding]))
        code = gpu_check.main(["--output", str(tmp_path), "--only", "norm"])
        record = json.loads((tmp_path / "gpu_check.json").read_text())
        assert record["holds"] is (code == 0)
        assert "| norm | layout |" in (tmp_path / "gpu_check.md").read_text()
        return code

    assert outcome(True) == 0 and outcome(None) == 0 and outcome(False) == 1


def test_a_check_that_is_cut_short_leaves_what_it_has_found(gpu_check, monkeypatch, tmp_path):
    def found(part, *_):
        if part == "index":
            raise KeyboardInterrupt
        yield gpu_check.Finding(part, "layout", True)

    monkeypatch.setattr(gpu_check, "_apart", found)
    with pytest.raises(KeyboardInterrupt):
        gpu_check.main(["--output", str(tmp_path), "--only", "norm", "memory", "index"])
    record = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [each["part"] for each in record["findings"]] == ["norm", "memory"]
    assert record["left"] == ["index"] and record["holds"] is False


@pytest.mark.thorough
def test_a_part_that_hangs_takes_what_it_has_started_along(gpu_check, monkeypatch, tmp_path):
    """Else the part after it would find the GPU in use, by a process that nobody ends."""
    script = tmp_path / "part.py"
    script.write_text(
        "import json, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "found = {'part': 'norm', 'name': 'a', 'holds': True, 'numbers': {'child': child.pid}}\n"
        "print('finding', json.dumps(found), flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(gpu_check, "__file__", str(script))
    given = gpu_check._parser().parse_args([])
    first, last = gpu_check._apart("norm", given, 5.0)
    assert (first.name, last.holds) == ("a", False) and "took more than 5 s" in last.detail
    state = Path(f"/proc/{first.numbers['child']}/stat")
    for _ in range(100):
        gone = not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
        if gone:
            break
        time.sleep(0.05)
    assert gone


@pytest.mark.slow
def test_parts_that_end_badly_or_never_are_named(gpu_check, tmp_path, monkeypatch):
    words = ["--output", str(tmp_path), "--only", "versions", "--device", "nowhere"]
    assert gpu_check.main(words) == 1
    assert gpu_check.main([*words[:-1], "cpu", "--seconds", "0.5"]) == 1
    details = [
        x["detail"] for x in json.loads((tmp_path / "gpu_check.json").read_text())["findings"]
    ]
    assert any("took more than" in text for text in details)


def test_every_part_is_there_and_within_twelve_minutes(gpu_check):
    files = {path.stem for path in (ROOT / "scripts" / "gpu_parts").glob("*.py")}
    assert files - {"__init__", "common", "kept", "seen"} == set(gpu_check.PARTS)
    given = gpu_check._parser().parse_args([])
    assert given.seconds <= 720


def test_what_there_is_no_time_for_is_not_begun(gpu_check, monkeypatch):
    from gpu_parts import index, recipe

    recipes = ModuleType("step_recipe")
    recipes.random_stream, recipes.Step = lambda images: None, None
    monkeypatch.setitem(sys.modules, "step_recipe", recipes)
    monkeypatch.setattr(recipe, "SECONDS", -1.0)
    found = list(recipe.check("cpu", quick=False))
    assert len({name for name, *_ in found}) == 12  # three tasks, four modes
    assert {(holds, detail) for _, holds, detail, _ in found} == {(None, "no time was left")}

    monkeypatch.setattr(index, "SECONDS_FOR_A_MILLION", -1.0)
    monkeypatch.setattr(index, "clustered", lambda count, device, seed: torch.zeros(1, 1))
    monkeypatch.setattr(index, "truth", lambda *_: None)
    monkeypatch.setattr(index, "form", lambda kind, *_: (kind, True, "", {}))
    for name in ("alike", "votes"):
        monkeypatch.setattr(index, name, lambda *_: iter(()))
    kinds = [name for name, *_ in index.check("cpu", quick=False)]
    assert kinds == 2 * ["torch", "ivf", "sq8", "pq"] + ["torch"]


SLOW = ("methods", "memory", "recipe")
PRETENDED = ("versions", "functions", "images", "index", *SLOW)


@pytest.fixture
def further(gpu, monkeypatch):
    """What the parts ask of a GPU beside computing: memory that a fraction bounds, and waits."""
    most = [1.0]
    real = Network.forward

    def forward(self, images, heads):
        if most[0] < 1 and torch.is_grad_enabled() and len(images) > 64:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, images, heads)

    def mode(name):
        if name == "error":
            gpu.waits.clear()
        assert not gpu.waits, f"synchronizing CUDA operation: {gpu.waits}"

    for name, found in {
        "set_sync_debug_mode": mode,
        "set_per_process_memory_fraction": lambda share: most.__setitem__(0, share),
        "get_device_capability": lambda device: (9, 0),
        "get_device_properties": lambda device: SimpleNamespace(total_memory=1 << 36),
        "max_memory_allocated": lambda: 1 << 30,
        "reset_peak_memory_stats": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, found)
    monkeypatch.setattr(Network, "forward", forward)


@pytest.mark.parametrize(
    "part", [pytest.param(x, marks=pytest.mark.slow if x in SLOW else ()) for x in PRETENDED]
)
@pytest.mark.quick(2)
def test_parts_hold_on_the_pretended_gpu(part, gpu_check, further):
    """All but the norm's, whose kernels are the GPU's own, and those that start processes."""
    found = list(gpu_check.run_part(part, "cuda:0", quick=True))
    # examples print their tensors, and those of the pretended GPU have another name
    found = [each for each in found if not each.name.startswith("example")]
    bad = [(each.name, each.detail, each.numbers) for each in found if each.holds is False]
    assert found and not bad


def test_a_wait_is_found(gpu_check, further, monkeypatch):
    from contsemi.stores.mapped import Mapped

    real = Mapped.take
    monkeypatch.setattr(Mapped, "take", lambda self, ids: real(self, ids).cpu().to("cuda:0"))
    (found,) = gpu_check.run_part("images", "cuda:0", quick=True)
    assert found.holds is False and "synchronizing" in found.detail


@pytest.mark.thorough
def test_a_wrong_number_is_found(gpu_check, monkeypatch):
    from gpu_parts import functions, norm

    from contsemi.devices import synced_norm

    real = synced_norm._slope
    monkeypatch.setattr(synced_norm, "_slope", lambda *a: 1.01 * real(*a))
    assert not any(holds for _, holds, _, _ in norm.check("cpu", quick=True))
    monkeypatch.setattr(functions, "moved", lambda value, device: functools_off(value))
    names = {name: holds for name, holds, _, _ in functions.check("cpu", quick=True)}
    assert not names["soft_nearest_neighbours"]


def functools_off(value):
    """What a kernel that is off by a hundredth would make of it."""
    if isinstance(value, tuple):
        return tuple(functools_off(each) for each in value)
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return (value.detach() * 1.01 + 0.01).requires_grad_(value.requires_grad)
    return value
