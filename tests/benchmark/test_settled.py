"""Runs that are finished already: shown where they are of this benchmark, refused where not."""

import json
import re
import shutil

import pytest
from PIL import Image

from contsemi import compose, data
from contsemi.benchmark.__main__ import main
from contsemi.benchmark.plan import Benchmark
from contsemi.benchmark.settled import refuse_other_settings, refuse_other_tasks
from contsemi.errors import InputError


@pytest.mark.usefixtures("_plain_runs")
def test_a_run_that_is_finished_with_other_settings_is_not_shown_as_one_of_these(
    plan, finish, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("contsemi.benchmark.command.train", lambda *_: {})
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    shared = ["scenario=digits_5tasks", "optim.epochs=1"]
    for job in plan(tmp_path, shared=shared).jobs(out)[:3]:
        finish(job, 0.5)
        config = compose.load([*job.settings, "threads=1"]).model_dump()
        del config["optim"]["clip"]  # as a version of before would not know it
        (job.folder / "manifest.json").write_text(json.dumps({"config": config}))
    assert main([str(path), "--output", str(out), "device=cpu"]) == 0
    assert "| ours | 1 |" in (out / "table.md").read_text()
    capsys.readouterr()
    plan(tmp_path, shared=[*shared[:1], "optim.epochs=7"])
    assert main([str(path), "--output", str(out)]) == 2
    err = capsys.readouterr().err
    assert err == (
        f"error: {out / '25_per_class' / 'ours' / 'seed0'}: is finished, with another "
        "optim.epochs (1 -> 7); give another --output, or remove it\n"
    )


def photos(folder, shade):
    """Two classes of two images for training and one for the test, of one shade."""
    for split, number in (("train", 2), ("test", 1)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for each in range(number):
                grey = shade + 20 * each + (7 if name == "cat" else 0)
                Image.new("RGB", (8, 8), (grey, grey, grey)).save(
                    folder / split / name / f"{each}.png"
                )
    return folder


@pytest.mark.usefixtures("_plain_runs")
def test_finished_runs_of_other_images_are_told_from_the_same_ones_elsewhere(
    plan, finish, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("contsemi.benchmark.command.train", lambda *_: {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, others = photos(tmp_path / "first", 10), photos(tmp_path / "others", 90)
    shutil.copytree(first, tmp_path / "moved")
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    shared = ["scenario=image_folder", "data=folder", "scenario.tasks=1", "data.size=8"]
    settings = {"shared": shared, "labels": ["1/class"], "seeds": [0, 1]}
    jobs = plan(tmp_path, **settings).jobs(out, [f"data.root={first}"])
    for job in jobs:
        finish(job, 0.5)
        config = compose.load(list(job.settings))
        train, test = data.load(config.data, "folder")
        digests = {"train": train.digest, "test": test.digest}
        manifest = {"config": config.model_dump(), "dataset_digests": digests}
        (job.folder / "manifest.json").write_text(json.dumps(manifest))

    def call(root):
        code = main([str(path), "--output", str(out), f"data.root={root}"])
        return code, capsys.readouterr().err

    assert call(first)[0] == call(tmp_path / "moved")[0] == 0
    # Which of a folder's foreign images come is drawn by the seed.
    for number, job in enumerate(jobs):
        manifest = json.loads((job.folder / "manifest.json").read_text())
        manifest["dataset_digests"]["outside"] = str(number)
        (job.folder / "manifest.json").write_text(json.dumps(manifest))
    assert call(first)[0] == call(tmp_path / "moved")[0] == 0
    said = f"error: {jobs[0].folder}: is finished, with other images than data.root={others}; give"
    code, err = call(others)
    assert code == 2 and err.startswith(said)
    # What lies at the same place may be changed between two runs: they differ from each other.
    last = jobs[-1].folder / "manifest.json"
    manifest = json.loads(last.read_text())
    manifest["dataset_digests"]["train"] = "0" * 64
    last.write_text(json.dumps(manifest))
    code, err = call(first)
    assert code == 2 and f"with other images than {jobs[0].folder}; give" in err


def test_images_that_change_while_a_benchmark_runs_leave_no_table(
    plan, finish, tmp_path, monkeypatch, capsys
):
    out, path = tmp_path / "out", tmp_path / "plan.yaml"
    jobs = plan(tmp_path, labels=["5%"], seeds=[0]).jobs(out)

    def trained(*_):
        for digest, job in enumerate(jobs):
            finish(job, 0.5)
            config = compose.load(list(job.settings)).model_dump()
            manifest = {"config": config, "dataset_digests": {"train": str(digest), "test": "0"}}
            (job.folder / "manifest.json").write_text(json.dumps(manifest))
        return {}

    monkeypatch.setattr("contsemi.benchmark.command.train", trained)
    assert main([str(path), "--output", str(out)]) == 2
    assert "with other images than" in capsys.readouterr().err
    assert not (out / "table.md").exists()


def test_images_that_a_draw_has_left_are_compared_within_their_draw(plan, finish, tmp_path):
    """With validation every seed trains on other images, but the methods of a seed on the same."""
    shared = ["scenario=digits_5tasks", "scenario.validation=0.25"]
    settings = {"shared": shared, "labels": ["5%", "10%"], "seeds": [0, 1]}
    jobs = plan(tmp_path, **settings).jobs(tmp_path / "out")

    def record(job, digest):
        config = compose.load(list(job.settings)).model_dump()
        manifest = {"config": config, "dataset_digests": {"train": digest, "test": digest}}
        (job.folder / "manifest.json").write_text(json.dumps(manifest))

    for job in jobs:
        finish(job, 0.5)
        record(job, f"{job.labels}, {job.seed}")
    refuse_other_settings(jobs)
    first, last = (job for job in jobs if job.name.endswith("10%, seed 1"))
    record(last, "other")
    said = f"{last.folder}: is finished, with other images than {first.folder}; give"
    with pytest.raises(InputError, match=re.escape(said)):
        refuse_other_settings(jobs)


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ("experiment=cifar100_laptop", "method b: is of another classes (null -> 20) than a"),
        ("scenario=cifar100_mini", ""),
    ],
)
@pytest.mark.thorough
def test_a_method_whose_own_experiment_is_of_other_tasks_is_refused(tmp_path, shared, said):
    """It takes the place of the shared one, and its runs would be paired with those of others."""
    own = tmp_path / "tuned.yaml"
    own.write_text("defaults: [override /scenario: cifar100_mini, _self_]\noptim: {lr: 0.01}\n")
    methods = {"a": ["method=replay"], "b": ["method=derpp", f"experiment={own}"]}
    plan = Benchmark([shared], ["4/class"], [0, 1], methods, "a")
    jobs = plan.jobs(tmp_path / "out")
    if not said:
        refuse_other_tasks(jobs)
        return
    with pytest.raises(InputError) as error:
        refuse_other_tasks(jobs)
    assert str(error.value).startswith(said)
