import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contsemi.data.imageset import ImageSet, fingerprint
from contsemi.data.sources import cache, folder
from contsemi.data.sources.decode import decode
from contsemi.errors import InputError

RANDOM = np.random.default_rng(1)


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, shape, np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as users have it: formats, sizes, modes and names of all sorts."""
    root = tmp_path / "images"
    for split in ("train", "test"):
        for name in ("Katze", "犬 🐕", "b"):
            (root / split / name).mkdir(parents=True)
            noise(30, 40, 3).save(root / split / name / "photo.jpg")
            noise(17, 17, 4).save(root / split / name / "rgba.png")
            noise(50, 20).save(root / split / name / "grey.png")
    train = root / "train" / "Katze"
    noise(9, 9, 3).quantize(8).save(train / "palette.png")
    Image.fromarray(RANDOM.integers(0, 65536, (12, 12)).astype(np.uint16)).save(train / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(30, 20, 3).save(train / "turned.jpg", exif=exif)
    noise(8, 8, 3).save(train / "ünï\nçode\u202e.webp")
    noise(8, 8, 3).save(train / "no suffix", "BMP")
    (root / "train" / ".hidden").mkdir()
    (root / "train" / "__MACOSX").mkdir()
    (train / ".DS_Store").write_bytes(b"junk")
    (train / "Thumbs.db").write_bytes(b"junk")
    (root / "readme.txt").write_text("not looked at")
    return root


def load(root: Path, size: int | None = 16, workers: int = 1) -> tuple[ImageSet, ImageSet]:
    cache = root.parent / "cache"
    return folder.load(root, size=size, cache=str(cache), workers=workers)


def report(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(root)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(f"data.root={root}: ")
    return str(caught.value)


def test_a_folder_becomes_an_image_set(root: Path) -> None:
    train, test = load(root)
    assert train.classes == test.classes == ("Katze", "b", "犬 🐕")
    assert (train.name, train.size, train.coarse) == ("images", 16, None)
    assert train.targets.tolist() == [0] * 8 + [1] * 3 + [2] * 3
    assert test.targets.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    files = [p for c in train.classes for p in sorted((root / "train" / c).iterdir())]
    files = [p for p in files if p.name not in (".DS_Store", "Thumbs.db")]
    expected = np.stack([decode(file, 16) for file in files])
    np.testing.assert_array_equal(train.images.numpy(), expected)
    assert train.digest == fingerprint(expected, train.targets.numpy())


def test_the_second_time_nothing_is_decoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = load(root)
    monkeypatch.setattr(cache, "decode_into", lambda *_, **__: pytest.fail("decoded again"))
    again, _ = load(root)
    assert again.digest == first.digest
    assert (again.images == first.images).all()


def test_a_changed_file_is_decoded_anew(root: Path) -> None:
    before, _ = load(root)
    noise(17, 17, 4).save(root / "train" / "b" / "rgba.png")
    after, _ = load(root)
    assert after.digest != before.digest
    np.testing.assert_array_equal(after.images[10], decode(root / "train" / "b" / "rgba.png", 16))
    assert load(root, size=8)[0].images.shape == (14, 3, 8, 8)


def test_val_is_taken_where_there_is_no_test(root: Path) -> None:
    _, test = load(root)
    (root / "test").rename(root / "val")
    assert load(root)[1].digest == test.digest


def test_everything_wrong_is_reported_at_once(root: Path) -> None:
    (root / "train" / "empty").mkdir()
    (root / "test" / "unknown").mkdir()
    (root / "train" / "b" / "half.jpg").write_bytes((root / "train/b/photo.jpg").read_bytes()[:300])
    (root / "test" / "b" / "text\n.png").write_text("text")
    (root / "train" / "b" / "link.png").symlink_to(root.parent / "elsewhere.png")
    (root / "train" / "linked").symlink_to(root.parent)
    (root / "train" / "b" / "inner").mkdir()
    (root / "train" / "loose.png").write_bytes(b"")
    os.mkfifo(root / "train" / "b" / "pipe.png")  # opening it would block for ever
    text = report(root)
    for problem in (
        "8 problems: ",
        "class train/empty is empty",
        "class test/unknown is not in train/",
        "train/b/half.jpg: damaged",
        "test/b/text\\n.png: not a JPEG, PNG, WEBP, BMP, PPM or TIFF image",
        "train/b/link.png is a link to nothing",
        "train/linked is a link out of the folder, and those are not followed",
        "train/b/inner is a folder, and images lie directly in the folder of their class",
        "train/b/pipe.png is not a file",
        "; repair or remove them",
    ):
        assert problem in text


def test_a_long_report_is_cut(root: Path) -> None:
    for number in range(30):
        (root / "train" / "b" / f"bad{number:02}.png").write_bytes(b"no image")
    text = report(root)
    assert "30 problems: train/b/bad00.png: not a JPEG" in text
    assert "bad19.png" in text
    assert "bad20.png" not in text
    assert "; and 10 more; repair or remove them" in text


def test_names_that_are_no_text(root: Path) -> None:
    odd = os.fsencode(root / "train" / "b") + b"/\xff\xfe.png"
    with open(odd, "wb") as stream:  # noqa: PTH123 - a name in bytes
        stream.write((root / "train" / "b" / "grey.png").read_bytes())
    assert len(load(root)[0]) == 15
    with open(odd, "wb") as stream:  # noqa: PTH123
        stream.write(b"no image")
    assert "train/b/\\udcff\\udcfe.png: not a JPEG" in report(root)


def test_folders_of_another_layout(tmp_path: Path, root: Path) -> None:
    with pytest.raises(InputError, match=r"data\.size: is required .* give data\.size=32"):
        load(root, size=None)
    assert "no such folder; expected train/<class>/<images>" in report(tmp_path / "none")
    (root / "train").rename(root / "Train")
    assert "has no train/ folder, but Train/; rename it to train/" in report(root)
    (root / "Train").rename(root / "training")
    (root / "test").rename(root / "tests")
    assert "has no train/ folder; expected" in report(root)
    (root / "train").mkdir()
    (root / "test").mkdir()
    assert "train/ has no class folders; at least two classes are needed" in report(root)
    (root / "train" / "cat").mkdir()
    assert "train/ has one class folder, cat; at least two classes" in report(root)


def test_a_pool_is_every_image_below(root: Path) -> None:
    pool = folder.load_pool(root / "train", size=8, cache=str(root.parent / "cache"), workers=1)
    assert pool.shape == (14, 3, 8, 8)
    np.testing.assert_array_equal(pool[-1], decode(root / "train" / "犬 🐕" / "rgba.png", 8))
    (root / "train" / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"scenario.unlabelled_root=.*1 problem: bad.png: not a"):
        folder.load_pool(root / "train", size=8, cache=str(root.parent / "cache"), workers=1)
    (root / "void").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        folder.load_pool(root / "void", size=8, cache=None, workers=1)


@pytest.mark.slow
def test_many_processes_give_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        noise(20, 20, 3).save(root / "train" / "b" / f"{number}.png")
    (root / "train" / "b" / "55x.png").write_bytes(b"no image")
    program = (  # without a main guard, as people write them
        "import sys\n"
        "from pathlib import Path\n"
        "from contsemi.data.sources import decoding, folder\n"
        "from contsemi.errors import InputError\n"
        "decoding.SMALL = 0\n"
        "root, cache = Path(sys.argv[1]), sys.argv[2]\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        print(folder.load(root, size=16, cache=cache, workers=2)[0].digest)\n"
        "    except InputError as error:\n"
        "        print(error)\n"
        "    (root / 'train' / 'b' / '55x.png').unlink(missing_ok=True)\n"
    )
    script = root.parent / "program.py"
    script.write_text(program)
    answer = subprocess.run(
        [sys.executable, str(script), str(root), str(root.parent / "other cache")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(folder.__file__).parents[3])},
    )
    first, second = answer.stdout.splitlines()
    assert "1 problem: train/b/55x.png: not a JPEG" in first
    assert second == load(root)[0].digest
    assert answer.stderr == ""
