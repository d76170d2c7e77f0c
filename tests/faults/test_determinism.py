"""What must not change a number: hash seeds, listings, folders, time zones, plug-ins, resuming."""

import itertools

import pytest

ENVIRONMENTS = (
    {},
    {"TZ": "Asia/Kathmandu", "LANG": "C", "LC_ALL": "C"},
    {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8", "COLUMNS": "1", "TERM": "dumb"},
)
RESUMED = (None, 2, 5, 8)


def combinations():
    """Listing order, environment, global draws and the step after which the run was killed."""
    return list(itertools.product((None, 1), ENVIRONMENTS, (False, True), RESUMED))


def one(warm, listing, environment, draws, resumed):
    plants = [["shuffled_listing", {"seed": listing}]] if listing else []
    plants += [["global_draws", {}]] if draws else []
    folder = warm.folder()
    (folder.parent / "elsewhere").mkdir(parents=True)
    job = {
        "plants": plants,
        "environment": environment | {"TMPDIR": str(folder.parent)},
        "where": str(folder.parent / "elsewhere"),
    }
    if resumed:
        killed = warm.run(folder, kill={"stage": "s", "count": 2 * resumed, "delay": 0.0}, **job)
        assert killed["code"] == -9
    answer = warm.run(folder, **job)
    assert answer["code"] == 0, answer["said"]
    found = warm.numbers(folder)
    warm.forget(folder)
    return found


@pytest.mark.thorough
def test_one_combination(warm, whole, draw):
    each = draw.choice(combinations())
    assert one(warm, *each) == whole, each


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_all_combinations_with_every_hash_seed(seed, warm_with, whole):
    """Three hash seeds, each with a third of the 48 combinations and four plain repetitions."""
    process = warm_with(PYTHONHASHSEED=seed)
    chosen = combinations()[("0", "1", "random").index(seed) :: 3]
    chosen += [(None, {}, False, None)] * 4
    for each in chosen:
        assert one(process, *each) == whole, each
    print(f"{len(chosen)} combinations with PYTHONHASHSEED={seed}")


@pytest.mark.slow
def test_decoding_processes_do_not_matter(warm, tmp_path):
    """A folder of images, decoded by 1, 2 and 4 processes, listed in several orders."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i, (image, target) in enumerate(zip(digits.images[:240], digits.target, strict=False)):
        part = "train" if i < 180 else "test"
        folder = tmp_path / "photos" / part / f"digit{target % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(folder / f"{i}.png")
    found = []
    for workers, listing in itertools.product((1, 2, 4), (1, 2)):
        folder = warm.folder()
        words = ["scenario=image_folder", f"data.root={tmp_path / 'photos'}", "data.size=8"]
        words += ["scenario.classes=4", "scenario.tasks=2", "label_ratio=8/class", "views=digits"]
        words += [f"data.workers={workers}", f"data.cache={folder.parent / 'cache'}"]
        answer = warm.run(folder, *words, plants=[["shuffled_listing", {"seed": listing}]])
        assert answer["code"] == 0, answer["said"]
        found.append(warm.numbers(folder))
        warm.forget(folder)
    assert all(each == found[0] for each in found)
