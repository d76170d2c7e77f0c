"""Words of the commands that would end in a traceback, in silence, or in advice for another one."""

import re
import shutil

import pytest

from contsemi import compose
from contsemi.ask.__main__ import main as ask
from contsemi.errors import InputError
from contsemi.export.__main__ import main as export
from contsemi.learn.__main__ import main as learn
from contsemi.predict.__main__ import main as predict
from contsemi.tune.trials import refuse_foreign


def said(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("label_ratio=[2/class,3/class]", "label_ratio: is a list, .*; give one value"),
        ("scenario=digits_5tasks", "scenario: has no effect on a lesson; leave it out"),
        ("resume=never", "resume: has no effect on a lesson"),
        ("seed=0,1", "seed: several values: '0,1'; give one value$"),
        ("label_ratio=0,8%", "label_ratio: 0,8% is two values; use a point: label_ratio=0.8%$"),
        ("threads=1,2", "threads: several values: '1,2'; give one value$"),
        ("method=nncsl", "method: nncsl trains its network, .* on frozen features; use python -m"),
        ("method=slda", "method: slda is a strategy of Avalanche, which makes no such model"),
        ("labels=", "labels: names no file"),
    ],
)
def test_a_word_that_a_lesson_does_not_take(photos, tmp_path, capsys, word, message):
    assert learn([str(tmp_path / "model"), str(photos / "first"), word]) == 2
    assert re.search(message, said(capsys))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("by", ["nope", "", "stratified", "[kmeans,margin]", "kmeans seed=1"])
def test_a_policy_that_ask_does_not_take_names_those_it_does(model, photos, tmp_path, capsys, by):
    words = [str(model), str(photos / "first"), "--budget", "1", "--by", by]
    assert ask([*words, "--sheet", str(tmp_path / "a.html")]) == 2
    assert said(capsys).endswith("use kmeans, kcenter, density, margin or usl")


def test_the_home_of_nobody(model, photos, capsys):
    for main, words in (
        (learn, ["~nobody9/model", str(photos / "first")]),
        (predict, [str(model), "~nobody9/photos"]),
    ):
        assert main(words) == 2
        assert "write the whole path" in said(capsys)


def test_as_many_classes_as_a_table_has_columns_for(model, photos, tmp_path, capsys):
    words = [str(model), str(photos / "first"), "--csv", str(tmp_path / "table.csv")]
    assert predict([*words, "--top", str(10**9)]) == 2
    assert "ask for 1 to 10000 classes" in said(capsys)
    assert predict([*words, "--top", "7"]) == 0


def test_a_link_to_a_table_or_a_page_stays_one(model, photos, tmp_path):
    for name in ("table.csv", "page.html"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere").mkdir()
    heap = str(photos / "first")
    assert predict([str(model), heap, "--csv", str(tmp_path / "table.csv")]) == 0
    page = ["--budget", "1", "--sheet", str(tmp_path / "page.html")]
    assert ask([str(model), str(photos / "first" / "train"), *page]) == 0
    for name in ("table.csv", "page.html"):
        assert (tmp_path / name).is_symlink() and (tmp_path / "elsewhere" / name).is_file()


def test_only_the_command_that_sweeps_is_told_to():
    with pytest.raises(InputError) as caught:
        compose.load(["seed=0,1"])
    assert "multirun" not in str(caught.value)
    with pytest.raises(InputError, match="--multirun"):
        compose.expand(compose.argv.split(["seed=0,1"]).tokens)


def test_a_search_is_begun_in_no_folder_of_something_else(photos, tmp_path):
    folder = tmp_path / "search"
    (folder / "trials").mkdir(parents=True)
    refuse_foreign(folder)  # a search that was ended before its first file
    refuse_foreign(tmp_path / "none")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds files of something else \(notes.txt, ...\)"):
        refuse_foreign(folder)


def test_photos_of_which_nothing_says_what_they_are(model, photos, tmp_path, capsys):
    heap = tmp_path / "heap"
    shutil.copytree(photos / "first/train/cat", heap)
    assert learn([str(model), str(heap)]) == 2
    assert f"error: {heap}: has no folder of a class and no labels.csv; put its photos" in said(
        capsys
    )


def test_a_run_and_an_export_are_no_models_to_teach_or_ask(model, photos, tmp_path, capsys):
    run, shared = tmp_path / "run", tmp_path / "shared"
    run.mkdir()
    for name in ("manifest.json", "config.yaml"):
        (run / name).write_text("{}")
    assert learn([str(run), str(photos / "first")]) == 2
    assert f"error: {run}: holds a run, and lessons are for models" in said(capsys)
    assert export([str(model), str(shared), "--to", "torch"]) == 0
    assert predict([str(shared), str(photos / "first")]) == 2
    line = said(capsys)
    assert f"{shared}: holds an export, which is for other programs; name the model" in line
