"""Runs side by side."""

import io
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
from rich.console import Console

from contsemi.records.finished import load_run
from contsemi.report.comparison import compare, comparison_tables, remarks


@pytest.fixture
def runs(make_run):
    return [
        load_run(make_run(4, name=f"{method}-{seed}", method=method, seed=seed))
        for method in ("suave", "contsemi")
        for seed in (2, 0, 1)
    ]


def test_mean_and_sample_standard_deviation(runs):
    groups = compare(runs)
    assert [group.method for group in groups] == ["contsemi", "suave"]
    assert groups[0].seeds == (0, 1, 2)
    final = [
        100 * np.mean(run.class_incremental[-1])
        for run in runs
        if run.results["method"] == "contsemi"
    ]
    expected = f"{np.mean(final):.1f} ± {np.std(final, ddof=1):.1f}"
    assert groups[0].spread("average_accuracy") == expected
    assert remarks(groups) == []


def test_one_table_for_each_scenario_and_budget(runs, make_run):
    runs.append(load_run(make_run(1, scenario="other", label_ratio="4/class")))
    tables = comparison_tables(compare(runs), 80)
    assert len(tables) == 2
    console = Console(file=io.StringIO(), width=80)
    console.print(*tables)
    text = console.file.getvalue()
    assert "digits · labels 5% · class-incremental [%]" in text
    assert "other · labels 4/class · class-incremental [%]" in text
    last = text.splitlines()[-1].split()
    assert last[:2] == ["contsemi", "1"]
    assert last[-1] == "-"
    assert "±" not in text.splitlines()[-1]


def test_remarks(runs):
    few, twice = remarks(compare([runs[0], runs[0]]))
    assert few.startswith("fewer than 3 seeds")
    assert "same seed" in twice
    assert "suave on digits with labels 5%" in twice


def relabelled(run, numbers, asked=None, chosen=None):
    """The run with so many labels in its tasks, and other images chosen for them."""
    manifest = run.manifest | ({"chosen": {"digest": chosen}} if chosen else {})
    own = {"labelled": numbers, "labels_asked": asked}
    return replace(run, results=run.results | own, manifest=manifest)


def test_other_numbers_of_labels_and_other_images_are_remarked(runs):
    """Chosen by a network, each manifest has the digest of no image; then nothing was compared."""
    few = [relabelled(run, [20, 17], [20, 20]) for run in runs[3:]]
    (said,) = remarks(compare([*runs[:3], *few]))
    assert said == (
        "digits with labels 5%: not all have as many labels: contsemi 37 of 40, suave 71"
    )
    (said,) = remarks(compare(few))
    assert said == "digits with labels 5%: fewer labels than asked were bought: contsemi 37 of 40"
    assert few[0].title.startswith("contsemi · digits · labels 5% (37 of 40 bought) · seed")
    others = [relabelled(run, [71], [71], f"{run.results['seed']}") for run in runs[:3]]
    same = [relabelled(run, [71], [71], f"{run.results['seed']}") for run in runs[3:]]
    assert remarks(compare([*others, *same])) == []
    (said,) = remarks(compare([*others, *runs[3:]]))
    assert said == (
        "digits with labels 5%: the labelled images are not the same ones: those of suave and of "
        "contsemi"
    )


def test_runs_of_other_machines_and_versions_are_remarked(runs):
    torch = runs[0].manifest["versions"] | {"torch": "2.1.0"}
    facts = {"precision": "bfloat16", "versions": torch}
    others = [replace(run, manifest=run.manifest | facts) for run in runs[:2]]
    plain = [replace(run, manifest=run.manifest | {"precision": "float32"}) for run in runs[2:]]
    said = remarks(compare([*others, *plain]))
    assert said[0] == (
        "digits with labels 5%: the runs are not of the same precision: float32 (contsemi, suave), "
        "bfloat16 (suave)"
    )
    assert said[1].endswith(
        f"version of torch: {version('torch')} (contsemi, suave), 2.1.0 (suave)"
    )
    assert len(said) == 2 and remarks(compare(plain[1:])) == []
    devices = "cuda:0 (H200)", "cuda:1 (H200)", "cuda:1 (A100)"
    on = [
        replace(run, manifest=run.manifest | {"device": device})
        for run, device in zip(runs[:3], devices, strict=True)
    ]
    (said,) = remarks(compare(on))
    assert said.endswith("of the same device: cuda (H200) (suave), cuda (A100) (suave)")
    assert not [line for line in remarks(compare(on[:2])) if "device" in line]
    chips = ("cpu", "Xeon"), ("cpu", "EPYC"), ("cuda:0 (H200)", "EPYC")
    on = [
        replace(run, manifest=run.manifest | {"device": device, "processor": chip})
        for run, (device, chip) in zip(runs[:3], chips, strict=True)
    ]
    assert any(
        "same processor: Xeon (suave), EPYC (suave)" in line for line in remarks(compare(on[:2]))
    )
    assert not any("processor" in line for line in remarks(compare(on[1:])))  # of a GPU, no matter
    unsaid = [replace(run, manifest={}) for run in runs[:3]]  # what an old run does not tell
    assert remarks(compare([*unsaid, *plain[1:]])) == []


def test_runs_of_one_method_with_other_settings_are_other_groups(make_run):
    """Forty exemplars and a hundred are not three seeds more of the same."""
    runs = []
    for exemplars in (40, 100):
        for seed in (0, 1):
            run = load_run(make_run(2, name=f"{exemplars}-{seed}", seed=seed))
            run.config.update(
                memory={"exemplars": exemplars}, seed=seed, output=f"{seed}", threads=seed
            )
            runs.append(run)
    groups = compare(runs)
    assert [(group.method, group.seeds) for group in groups] == [
        ("contsemi memory.exemplars=100", (0, 1)),
        ("contsemi memory.exemplars=40", (0, 1)),
    ]


def test_runs_on_other_photos_are_no_further_seeds(make_run):
    """A folder of photos has the name of its scenario, whatever it holds."""
    runs = []
    for seed, images in enumerate(("ab" * 32, "ab" * 32, "cd" * 32)):
        run = load_run(make_run(2, name=f"{seed}", seed=seed))
        run.manifest["dataset_digests"] = {"train": images, "test": "ef" * 32}
        runs.append(run)
    groups = compare(runs)
    assert [(group.method, group.seeds) for group in groups] == [
        ("contsemi images=abab.efef", (0, 1)),
        ("contsemi images=cdcd.efef", (2,)),
    ]
    assert "not all have the same tasks and images: their names say images" in remarks(groups)


def test_methods_on_other_tasks_say_so(make_run):
    """Two methods of one setting each, which differs: not only runs of one method tell."""
    runs = []
    for method, tasks in (("contsemi", 2), ("suave", 5)):
        for seed in (0, 1, 2):
            run = load_run(make_run(tasks, name=f"{method}-{seed}", method=method, seed=seed))
            run.config.update(scenario={"tasks": tasks, "validation": 0.0}, optim={"lr": tasks})
            runs.append(run)
    groups = compare(runs)
    names = [group.method for group in groups]
    assert names == ["contsemi scenario.tasks=2", "suave scenario.tasks=5"]
    assert remarks(groups) == [
        "not all have the same tasks and images: their names say scenario.tasks"
    ]


def test_a_share_that_the_seed_has_drawn_for_validation_is_no_other_place(make_run):
    runs = []
    for seed in (0, 1, 2):
        run = load_run(make_run(2, name=f"{seed}", seed=seed))
        run.manifest["dataset_digests"] = {"train": f"{seed}" * 64, "test": f"{seed}" * 64}
        run.config["scenario"] = {"validation": 0.25}
        runs.append(run)
    (group,) = compare(runs)
    assert group.seeds == (0, 1, 2) and remarks([group]) == []


def test_many_differing_keys_leave_room_for_the_numbers(make_run):
    """Only what is unusual stays in the name."""
    runs = []
    for seed, change in enumerate([{}, {}, {"optim": {"lr": 1.0, "epochs": 3, "clip": 2.0}}]):
        run = load_run(make_run(2, name=f"{seed}", seed=seed))
        run.config.update({"memory": 1, "optim": {"lr": 0.1, "epochs": 1, "clip": 0.0}} | change)
        run.config["batch"] = len(change)
        runs.append(run)
    names = [group.method for group in compare(runs)]
    assert names == ["contsemi", "contsemi batch=1 optim.clip=2.0 optim.epochs=3 optim.lr=1.0"]
    few = remarks(compare(runs))[0]
    assert few.count(";") == 1


def test_remarks_name_five_groups_at_most(make_run):
    runs = [load_run(make_run(2, name=f"m{i}", method=f"m{i}")) for i in range(8)]
    assert remarks(compare(runs))[0].endswith("; and 3 more")
