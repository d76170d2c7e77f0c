import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.model_selection import train_test_split

from contsemi.config import Data, Scenario
from contsemi.data.imageset import ImageSet
from contsemi.data.scenario import Stream, build
from contsemi.data.sources import digits
from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest

REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = digits.load(None)


def scenario(**keys: Any) -> Scenario:
    text = (REPOSITORY / "scenarios" / "digits_5tasks.yaml").read_text()
    return Scenario(**{**yaml.safe_load(text)["scenario"], **keys})


def stream(ratio: object = "5%", seed: int = 0, **keys: Any) -> Stream:
    return build(scenario(**keys), LabelBudget.parse(ratio), TRAIN, TEST, seed)


def tiny(targets: list[int], names: tuple[str, ...] = ("a", "b", "c")) -> ImageSet:
    images = np.zeros((len(targets), 3, 4, 4), np.uint8)
    return ImageSet.of(images, np.array(targets, np.int64), classes=names, name="tiny")


def test_the_default_scenario() -> None:
    made = stream()
    expected, _ = train_test_split(
        np.arange(1437), train_size=71, stratify=TRAIN.targets, random_state=0
    )
    np.testing.assert_array_equal(made.label_indices, expected)
    assert made.label_digest == digest(expected)
    assert [e.columns for e in made.experiences] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert [(e.num_old, e.num_seen) for e in made.experiences] == [
        (0, 2), (2, 4), (4, 6), (6, 8), (8, 10)
    ]  # fmt: skip
    assert made.experiences[1].class_names == ("2", "3")
    assert made.images is TRAIN.images
    assert sum(len(task.indices) for task in made.test) == 360


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.sampled_from(["3%", "20%", "2/class", 1, "1/7"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["current", "seen"]),
)
def test_a_stream_is_a_partition(sizes: list[int], ratio: object, seed: int, pool: str) -> None:
    if not 2 <= sum(sizes) <= 10:
        return
    made = stream(
        ratio,
        seed,
        tasks=None,
        classes=sum(sizes),
        task_classes=sizes,
        class_order="shuffled",
        unlabelled=pool,
    )
    order = torch.tensor(made.class_order)
    assert sorted(made.class_order) == list(range(sum(sizes)))
    assert [len(e.columns) for e in made.experiences] == sizes
    assert [c for e in made.experiences for c in e.columns] == list(range(sum(sizes)))
    labelled = torch.cat([e.labelled for e in made.experiences])
    assert sorted(labelled.tolist()) == sorted(made.label_indices.tolist())
    for experience, test in zip(made.experiences, made.test, strict=True):
        assert torch.equal(TRAIN.targets[experience.labelled], order[experience.labels])
        assert set(experience.labels.tolist()) == set(experience.columns)
        first = 0 if pool == "seen" else experience.num_old
        wanted = torch.isin(TRAIN.targets, order[first : experience.num_seen])
        assert torch.equal(experience.unlabelled, wanted.nonzero().flatten())
        assert torch.equal(TEST.targets[test.indices], order[test.targets])
        assert torch.equal(
            test.indices, torch.isin(TEST.targets, order[list(test.columns)]).nonzero().flatten()
        )


def test_no_hidden_label_can_be_reached() -> None:
    made = stream()
    for experience in made.experiences:
        sizes = {
            field.name: len(value)
            for field in dataclasses.fields(experience)
            if isinstance(value := getattr(experience, field.name), torch.Tensor)
        }
        assert sizes["labels"] == sizes["labelled"] < sizes["unlabelled"]
        assert sizes["coarse"] == sizes["labelled"] and sizes["coarse_of"] == experience.num_seen
        assert sizes["coarse_only"] == sizes["coarse_only_labels"] == 0
        known = {"labelled", "labels", "unlabelled", "coarse", "coarse_of"}
        assert set(sizes) == known | {"coarse_only", "coarse_only_labels"}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        assert not isinstance(value, ImageSet)
        if isinstance(value, torch.Tensor | np.ndarray):
            assert len(value) != len(TRAIN) or field.name == "images"


def test_seeds() -> None:
    assert stream(seed=1).label_digest != stream(seed=2).label_digest
    assert stream(seed=1, label_seed=2).label_digest == stream(seed=2).label_digest
    shuffled = {"class_order": "shuffled", "label_seed": 0}
    assert stream(seed=1, **shuffled).class_order != stream(seed=2, **shuffled).class_order
    assert stream(seed=1, **shuffled).label_digest == stream(seed=2, **shuffled).label_digest


def test_the_draw_is_over_the_classes_in_use() -> None:
    made = stream("10%", classes=4, tasks=2)
    used = np.flatnonzero(TRAIN.targets.numpy() < 4)
    expected, _ = train_test_split(
        used, train_size=len(used) // 10, stratify=TRAIN.targets[used], random_state=0
    )
    np.testing.assert_array_equal(made.label_indices, expected)


def test_one_budget_per_task() -> None:
    made = stream(["5%", "10%", "3/class", "20%", 1])
    shares = [len(e.labelled) / len(e.unlabelled) for e in made.experiences]
    np.testing.assert_allclose(
        shares, [0.05, 0.1, 6 / len(made.experiences[2].unlabelled), 0.2, 1], atol=0.01
    )
    with pytest.raises(InputError, match="5 tasks, 1 value"):
        stream(["5%"])


def test_all_labels() -> None:
    made = stream(1)
    assert sorted(made.label_indices.tolist()) == list(range(1437))


def test_a_frozen_list(tmp_path: Path) -> None:
    rows = stream(seed=5).label_indices
    file = tmp_path / "list.txt"
    file.write_text("".join(f"{row}\n" for row in rows))
    made = stream(seed=9, labels=str(file))
    np.testing.assert_array_equal(made.label_indices, rows)
    with pytest.raises(InputError, match=r"has 71 rows, label_ratio=10% asks for 143; set label"):
        stream("10%", labels=str(file))
    with pytest.raises(InputError, match=r"line \d+: row \d+ is of class '\d', which is not in"):
        stream("5%", labels=str(file), classes=4, tasks=2)
    file.write_text("".join(f"{row}\n" for row in rows if TRAIN.targets[row] != 3))
    with pytest.raises(InputError, match=r"has \d+ rows, label_ratio=5% asks for 71"):
        stream("5%", labels=str(file))


def test_the_suggested_ratio_of_a_list_works(tmp_path: Path) -> None:
    rows = stream("3/class").label_indices
    file = tmp_path / "list.txt"
    file.write_text("".join(f"{row}\n" for row in rows))
    assert len(stream("3/class", labels=str(file)).label_indices) == 30
    assert len(stream(["3/class"] * 5, labels=str(file)).label_indices) == 30
    with pytest.raises(InputError) as caught:
        stream("5%", labels=str(file))
    ratio = caught.value.fix.split("label_ratio=")[1].split(",")[0]
    assert len(stream(ratio, labels=str(file)).label_indices) == 30


def test_unlabelled_images_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "pool" / "deep").mkdir(parents=True)
    for number, name in enumerate(("b.png", "deep/a.png", "a.png")):
        Image.new("RGB", (12, 12), (number, 0, 0)).save(tmp_path / "pool" / name)
    given = scenario(unlabelled="folder", unlabelled_root=str(tmp_path / "pool"))
    data = Data(
        source={"name": "auto"},
        root=None,
        download=False,
        size=None,
        cache=str(tmp_path / "cache"),
        workers=1,
        test_share=0.2,
    )
    made = build(given, LabelBudget.parse("5%"), TRAIN, TEST, 0, data=data)
    assert made.images[1437:, 0, 0, 0].tolist() == [2, 0, 1]
    assert torch.equal(made.images[:1437], TRAIN.images)
    for experience in made.experiences:
        assert experience.unlabelled.tolist() == [1437, 1438, 1439]
        assert (experience.labelled < 1437).all()
    with pytest.raises(InputError, match=r"scenario\.unlabelled_root: is missing"):
        stream(unlabelled="folder")
    with pytest.raises(InputError, match="is no folder"):
        stream(unlabelled="folder", unlabelled_root=str(tmp_path / "nowhere"))


def test_the_files_of_test_images_are_named() -> None:
    train = dataclasses.replace(tiny([0, 1, 2] * 4), place=Path("/photos"))
    test = dataclasses.replace(
        tiny([0, 1, 2]), files=("test/a/1.png", "test/b/2.png", "test/c/3.png")
    )
    made = build(scenario(tasks=3), LabelBudget.parse("50%"), train, test, 0)
    assert made.test_files == (
        "/photos/test/a/1.png",
        "/photos/test/b/2.png",
        "/photos/test/c/3.png",
    )
    assert stream().test_files == ()


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0, 1, 2] * 4, [], "data.root: the test split has no images;"),
        ([], [0, 1, 2], "data.root: the training split has no images;"),
        ([0, 1, 2] * 4, [0, 1], "data.root: there are no test images of 'c';"),
        ([0, 0, 2] * 4, [0, 1, 2], "data.root: there are no training images of 'b';"),
    ],
)
def test_datasets_that_lack_images(train: list[int], test: list[int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(scenario(tasks=3), LabelBudget.parse("50%"), tiny(train), tiny(test), 0)
    assert str(caught.value).startswith(message)


def test_splits_of_different_datasets() -> None:
    other = tiny([0, 1, 2], ("a", "b", "d"))
    with pytest.raises(InputError, match="train and test differ in classes"):
        build(scenario(tasks=3), LabelBudget.parse("50%"), tiny([0, 1, 2]), other, 0)


def files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).glob("*.yaml"))


@pytest.mark.parametrize("file", files("scenarios"), ids=lambda file: file.stem)
def test_every_scenario_file_fits_the_schema(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    given = Scenario(**content["scenario"])
    assert given.name == file.stem
    assert content["defaults"][-1] == "_self_"
    groups = {}
    for entry in content["defaults"][:-1]:
        groups |= entry
    assert sorted(groups) == [
        "override /data",
        "override /model",
        "override /optim",
        "override /views",
    ]
    for group, name in groups.items():
        assert (REPOSITORY / "conf" / group.removeprefix("override /") / f"{name}.yaml").is_file()


@pytest.mark.parametrize("file", files("conf/data"), ids=lambda file: file.stem)
def test_every_data_file_fits_the_schema(file: Path) -> None:
    Data(**yaml.safe_load(file.read_text()), source={"name": "auto"})


def test_there_are_all_scenarios() -> None:
    assert {file.stem for file in files("scenarios")} >= {
        "digits_5tasks",
        "cifar10_5tasks",
        "cifar100_10tasks",
        "cifar100_20tasks",
        "cifar100_mini",
        "imagenet100_20tasks",
        "image_folder",
    }


def with_strangers(arrives: list[int]) -> ImageSet:
    """The digits with so many images whose label nobody knows."""
    more = len(arrives)
    return ImageSet.of(
        torch.cat([TRAIN.images, 255 - TRAIN.images[:more]]).numpy(),
        torch.cat([TRAIN.targets, torch.full((more,), -1)]).numpy(),
        classes=TRAIN.classes,
        name="digits",
        arrives=np.array([-1] * len(TRAIN) + arrives),
    )


def test_images_without_any_label_come_once_and_get_none() -> None:
    train = with_strangers([-1] * 7 + [3, 0])
    made = build(scenario(tasks=5), LabelBudget.parse("5%"), train, TEST, 0)
    plain = build(scenario(tasks=5), LabelBudget.parse("5%"), TRAIN, TEST, 0)
    assert made.label_indices.tolist() == plain.label_indices.tolist()
    strangers = [
        [row for row in each.unlabelled.tolist() if row >= len(TRAIN)] for each in made.experiences
    ]
    assert sorted(row for rows in strangers for row in rows) == list(range(1437, 1446))
    assert 1437 + 7 in strangers[3]
    assert 1437 + 8 in strangers[0]
    assert max(map(len, strangers)) <= 3
    for before, after in zip(plain.experiences, made.experiences, strict=True):
        assert set(before.unlabelled.tolist()) == {r for r in after.unlabelled.tolist() if r < 1437}


def test_an_unlabelled_image_of_a_task_that_never_comes() -> None:
    with pytest.raises(InputError, match="holds unlabelled images of task 6, the stream has 5"):
        build(scenario(tasks=5), LabelBudget.parse("5%"), with_strangers([5]), TEST, 0)


@pytest.mark.parametrize("names", [("a", "b", "a"), ("caf\u00e9", "b", "cafe\u0301")])
def test_two_classes_of_one_name_are_refused(names: tuple[str, ...]) -> None:
    """Of one name in another Unicode form, too: who reads a table sees one class twice."""
    both = [dataclasses.replace(each, classes=names + TRAIN.classes[3:]) for each in (TRAIN, TEST)]
    with pytest.raises(InputError, match="two classes are called"):
        build(scenario(tasks=5), LabelBudget.parse("5%"), *both, 0)


def test_test_images_are_no_pool(tmp_path: Path) -> None:
    place = tmp_path / "photos" / "test"
    (place / "cat").mkdir(parents=True)
    test = dataclasses.replace(TEST, place=place)
    for root in (place, place / "cat", tmp_path / "photos"):
        given = scenario(unlabelled="folder", unlabelled_root=str(root))
        with pytest.raises(InputError, match="lies in, or holds, the test images"):
            build(given, LabelBudget.parse("5%"), TRAIN, test, 0)


def test_copies_of_test_images_in_the_pool_are_left_out(tmp_path: Path) -> None:
    for number in range(3):
        pixels = TEST.images[number].permute(1, 2, 0).numpy()
        Image.fromarray(pixels if number else 255 - pixels).save(tmp_path / f"{number}.png")
    given = scenario(unlabelled="folder", unlabelled_root=str(tmp_path))
    made = build(given, LabelBudget.parse("5%"), TRAIN, TEST, 0)
    said = "scenario.unlabelled_root: 2 of 3 images are test images too"
    assert made.remarks == (f"{said}; left out",)
    assert len(made.images) == len(TRAIN) + 1
    assert torch.equal(made.images[-1], 255 - TEST.images[0])
    (tmp_path / "0.png").unlink()
    with pytest.raises(InputError, match="2 of 2 images are test images too; no test image may"):
        build(given, LabelBudget.parse("5%"), TRAIN, TEST, 0)


def test_the_real_test_images_train_no_more_where_others_are_held_out(tmp_path: Path) -> None:
    """Settings that are chosen on held-out labels must not have seen the test, either."""
    for number in range(3):
        pixels = (TEST if number else TRAIN).images[number].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    given = scenario(unlabelled="folder", unlabelled_root=str(tmp_path))
    out = dataclasses.replace(TRAIN, images=TRAIN.images[50:90], targets=TRAIN.targets[50:90])
    budget = LabelBudget.parse("5%")
    assert len(build(given, budget, TRAIN, out, 0).images) == len(TRAIN) + 3
    made = build(given, budget, TRAIN, out, 0, tested=TEST)
    assert len(made.images) == len(TRAIN) + 1 and "2 of 3 images" in made.remarks[0]


def test_coarse_classes_are_known_of_labelled_images_and_of_columns() -> None:
    """A class whose images are of several coarse classes has none as a column."""
    targets = np.tile(np.arange(10), 20)
    coarse = np.where(targets == 4, np.arange(200) // 10 % 2, targets // 2)
    images = np.zeros((200, 3, 4, 4), np.uint8)
    names = tuple(map(str, range(10)))
    parts = [
        ImageSet.of(images, targets, classes=names, name="x", coarse=given)
        for given in (coarse, None)
    ]
    for train, known in zip(parts, (True, False), strict=True):
        made = build(scenario(), LabelBudget.parse("50%"), train, train, 0)
        for each in made.experiences:
            rows = each.labelled.numpy()
            expected = coarse[rows] if known else np.full(len(rows), -1)
            np.testing.assert_array_equal(each.coarse, expected)
            assert each.num_coarse == (5 if known else 0) and len(each.coarse_only) == 0
        above = [0, 0, 1, 1, -1, 2, 3, 3, 4, 4] if known else [-1] * 10
        assert made.experiences[-1].coarse_of.tolist() == above


@pytest.mark.parametrize("nothing", ["0%", 0, "0/class"])
def test_a_task_without_a_label_has_its_images_among_all_seen_classes(nothing: object) -> None:
    made = stream(["5%", nothing, "2/class", nothing, "5%"])
    assert [len(each.labels) > 0 for each in made.experiences] == [True, False, True, False, True]
    pools = [each.pool_columns for each in made.experiences]
    assert pools[:3] == [(0, 1), (0, 1, 2, 3), (4, 5)]
    assert pools[3] == tuple(range(8))
    assert all(len(each.unlabelled) for each in made.experiences)


def test_a_list_of_labels_names_no_row_of_a_task_without_labels(tmp_path: Path) -> None:
    ratio = ["2/class", "0%", "0%", "0%", "2/class"]
    rows = stream(ratio).label_indices
    listed = tmp_path / "rows.txt"
    listed.write_text("\n".join(map(str, rows)))
    made = stream(ratio, labels=str(listed))
    assert [len(each.labels) for each in made.experiences] == [4, 0, 0, 0, 4]


def test_a_pool_that_holds_other_classes_is_among_all_seen_ones() -> None:
    assert [each.pool_columns for each in stream(unlabelled="seen").experiences] == [
        tuple(range(seen)) for seen in (2, 4, 6, 8, 10)
    ]
