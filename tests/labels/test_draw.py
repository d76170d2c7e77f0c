import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from contsemi.errors import InputError
from contsemi.labels import LabelBudget, digest, draw, read_list

NAMES = [f"class_{n}" for n in range(1000)]

# SHA-256 of NNCSL's subsets/cifar100/0.8%_seed0_cls.txt: the class of each drawn image, a line
# each, in the order of the draw (commit a38078a)
NNCSL_CIFAR100 = "f5fe1c84f974dc63453e9dcb17b27118cb4cd12bc336ba5e60260d79d25bb049"


def take(budget: object, targets: np.ndarray, seed: int = 0) -> np.ndarray:
    return draw(LabelBudget.parse(budget), targets, seed=seed, names=NAMES)


@st.composite
def labelled_sets(draw_from: st.DrawFn) -> np.ndarray:
    sizes = draw_from(st.lists(st.integers(2, 60), min_size=2, max_size=8))
    targets = np.repeat(np.arange(len(sizes)) * 3, sizes)
    return np.random.default_rng(draw_from(st.integers(0, 99))).permutation(targets)


@settings(deadline=None)
@given(labelled_sets(), st.data(), st.integers(0, 2**32 - 1))
def test_a_share_is_sklearns_stratified_split(
    targets: np.ndarray, data: st.DataObject, seed: int
) -> None:
    size, classes = len(targets), len(set(targets.tolist()))
    # What scikit-learn accepts: an image of each class on both sides, in number.
    share = data.draw(st.integers(-(-classes * 10**6 // size), (size - classes) * 10**6 // size))
    wanted = share * size // 10**6
    expected, _ = train_test_split(
        np.arange(len(targets)), train_size=wanted, stratify=targets, random_state=seed
    )
    try:
        found = take(f"{share}/1000000", targets, seed)
    except InputError:
        assert set(targets[expected].tolist()) != set(targets.tolist())
    else:
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_a_count_is_the_share_of_that_many(classes: int, count: int, more: int, seed: int) -> None:
    size = count + more
    targets = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), size))
    by_count = take(f"{count}/class", targets, seed)
    np.testing.assert_array_equal(by_count, take(f"{count}/{size}", targets, seed))
    assert (np.bincount(targets[by_count]) == count).all()


@settings(deadline=None)
@given(labelled_sets(), st.integers(1, 10), st.integers(0, 99))
def test_a_count_holds_for_every_class(targets: np.ndarray, count: int, seed: int) -> None:
    classes, sizes = np.unique(targets, return_counts=True)
    if count > sizes.min():
        with pytest.raises(InputError, match=f"give at most {sizes.min()}/class"):
            take(f"{count}/class", targets, seed)
        return
    rows = take(f"{count}/class", targets, seed)
    assert len(set(rows.tolist())) == len(rows)
    np.testing.assert_array_equal(
        np.unique(targets[rows], return_counts=True), (classes, np.full(len(classes), count))
    )


@settings(deadline=None)
@given(labelled_sets(), st.integers(0, 99))
def test_every_share_up_to_all_is_drawn(targets: np.ndarray, seed: int) -> None:
    for left in range(3):  # scikit-learn refuses complements smaller than the number of classes
        share = f"{len(targets) - left}/{len(targets)}"
        try:
            rows = take(share, targets, seed)
        except InputError:
            continue
        assert len(set(rows.tolist())) == len(targets) - left
    assert set(take(1, targets, seed).tolist()) == set(range(len(targets)))


@settings(deadline=None)
@given(labelled_sets(), st.integers(1, 1000))
def test_the_suggested_share_works(targets: np.ndarray, share: int) -> None:
    try:
        rows = take(f"{share}/10000", targets)
    except InputError as error:
        assert error.fix.startswith("smallest usable ratio is ")
        rows = take(error.fix.split(" is ")[1].split(",")[0], targets)
    assert set(targets[rows].tolist()) == set(targets.tolist())


def test_digits_at_five_percent_have_71_labels() -> None:
    digits = load_digits().target
    rows = take(
        "5%",
        digits[
            np.sort(
                train_test_split(np.arange(1797), test_size=0.2, stratify=digits, random_state=0)[0]
            )
        ],
    )
    assert len(rows) == 71


def test_a_class_without_a_label_is_named() -> None:
    with pytest.raises(InputError) as caught:
        take("0.1%", np.repeat(np.arange(10), 500))
    assert str(caught.value) == (
        "label_ratio: 0.1% of 500 images in class 'class_0' is 0.5 labels (and 4 more classes get "
        "none); smallest usable ratio is 0.2%, or use 1/class"
    )


@pytest.mark.data
def test_cifar100_equals_the_published_list(cifar100_root: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (file,) = cifar100_root.glob("data/train-*.parquet")
    targets = parquet.read_table(file, columns=["fine_label"])["fine_label"].to_numpy()
    rows = take("0.8%", targets)
    listed = "".join(f"{number}\n" for number in targets[rows])
    assert hashlib.sha256(listed.encode()).hexdigest() == NNCSL_CIFAR100
    np.testing.assert_array_equal(rows, take("4/class", targets))


def test_the_digest_is_of_the_sorted_rows() -> None:
    expected = hashlib.sha256(np.array([1, 2, 300], "<i8").tobytes()).hexdigest()
    assert digest(np.array([300, 1, 2])) == digest(np.array([2, 1, 300])) == expected
    assert digest(np.array([1, 2, 301])) != expected


def test_a_frozen_list_keeps_its_order(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbf7\r\n 3 \n0\n")
    np.testing.assert_array_equal(read_list(file, 8), [7, 3, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n2\n1\n", "line 3: row 1 stands on line 1 already; remove it"),
        ("1\n8\n", "line 2: row 8 is out of range: the training set has rows 0 to 7;"),
        ("-1\n", "line 1: row -1 is out of range"),
        ("1\n\n2\n", "line 2: '' is not an integer;"),
        ("1\n2.0\n", "line 2: '2.0' is not an integer;"),
        ("row\n1\n", "line 1: 'row' is not an integer;"),
        ("9" * 5000, f"line 1: '{'9' * 40}' is not an integer;"),
        ("\u0661\n", "is not an integer;"),
        ("", "is empty;"),
    ],
)
def test_bad_lists_name_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(content, "utf-8")
    with pytest.raises(InputError) as caught:
        read_list(file, 8)
    assert str(caught.value).startswith(f"scenario.labels={file}")
    assert message in str(caught.value)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_list(tmp_path / "none.txt", 8)
    with pytest.raises(InputError, match="cannot be read"):
        read_list(tmp_path, 8)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_list(tmp_path / "binary", 8)


FILES = ["train/cat/1.png", "train/cat/2.png", "train/dog/1.png", "train/dog/odd name.jpg"]


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ("train/cat/2.png\ndog/1.png", [1, 2]),
        ("odd name.jpg\n./cat/1.png\n2", [3, 0, 2]),
        ("cat\\2.png", [1]),
    ],
)
def test_a_list_of_file_names(tmp_path: Path, lines: str, rows: list[int]) -> None:
    (tmp_path / "list.txt").write_text(lines)
    assert read_list(tmp_path / "list.txt", 4, FILES).tolist() == rows


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1.png", "2 training images are called '1.png'; give the path from the class folder on"),
        ("bird/1.png", "no training image is called 'bird/1.png'; give its path"),
        ("4", "row 4 is out of range"),
    ],
)
def test_a_name_that_is_none_or_two(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "list.txt").write_text(f"cat/2.png\n{line}")
    with pytest.raises(InputError, match="line 2: ") as caught:
        read_list(tmp_path / "list.txt", 4, FILES)
    assert problem in str(caught.value)


def test_a_name_in_a_list_is_found_in_whichever_form_it_is_typed(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    (tmp_path / "list").write_text(f"{composed}/a.jpg\n./{apart}/b.jpg\n", encoding="utf-8")
    files = [f"{apart}/a.jpg", f"{composed}/b.jpg", "x/c.jpg"]
    assert read_list(tmp_path / "list", 3, files).tolist() == [0, 1]


def test_names_that_differ_in_form_alone_are_those_to_the_letter(tmp_path: Path) -> None:
    files = ["x/caf\u00e9.jpg", "x/cafe\u0301.jpg"]
    (tmp_path / "list").write_text("\n".join(reversed(files)), encoding="utf-8")
    assert read_list(tmp_path / "list", 2, files).tolist() == [1, 0]
