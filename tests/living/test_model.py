"""A model in Python: what scikit-learn expects, and what it refuses."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

import contsemi
from contsemi.errors import InputError, MethodFailed
from contsemi.living.photos import in_chunks
from contsemi.living.saved import config_of
from contsemi.memory.moments import Moments
from contsemi.memory.trust import Trust, fitted_temperature


@pytest.fixture(scope="module")
def loaded(model):
    return contsemi.load(model)


def test_it_knows_the_classes_of_all_lessons_in_their_order(loaded):
    assert loaded.classes == ("cat", "dog", "fox", "owl")


def test_photos_by_name_and_as_arrays_have_the_same_classes(loaded, photos):
    files = sorted((photos / "second" / "test" / "owl").glob("*.jpg"))
    by_name = loaded.predict_proba([str(file) for file in files])
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    square = pixels[:, :, 4:44]
    by_array = loaded.predict_proba(square)
    np.testing.assert_allclose(by_name.sum(1), 1, atol=1e-5)
    assert (by_name.argmax(1) == by_array.argmax(1)).all()
    assert (loaded.predict(files) == "owl").mean() >= 0.5
    one = loaded.predict_proba(str(files[0]))
    np.testing.assert_allclose(one, by_name[:1], atol=1e-5)


@pytest.mark.parametrize("tall", [True, False])
def test_an_array_is_cut_to_its_middle_whichever_side_is_as_wanted(loaded, tall):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 30, 12), dtype=np.uint8)
    given, square = images, images[:, :, 9:21]
    if not tall:
        given, square = given.swapaxes(2, 3), square.swapaxes(2, 3)
    assert (loaded.predict_proba(given) == loaded.predict_proba(square)).all()


@pytest.mark.parametrize("given", [None, 3, ["run"], b"run"])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(InputError, match=r"load\(path\): expected the path of a folder, got an? "):
        contsemi.load(given)


def test_it_is_an_estimator_of_scikit_learn(loaded, photos, model):
    files = sorted((photos / "second").rglob("*.jpg"))
    names = [file.parent.name for file in files]
    check_is_fitted(loaded)
    assert loaded.fit(files, names) is loaded
    assert loaded.score(files, names) > 0.6
    assert clone(loaded).path == model
    ours = make_pipeline(contsemi.load(model), LogisticRegression(max_iter=200))
    assert ours.fit(files, names).score(files, names) > 0.6
    assert loaded.features(files).shape == (len(files), 3 * 12 * 12)


def test_photos_are_read_no_more_than_two_chunks_ahead(photos):
    file, asked = next(photos.rglob("*.jpg")), []

    def names():
        for number in range(1000):
            asked.append(number)
            yield file

    chunks = in_chunks(names(), 8)
    next(chunks)
    assert len(asked) <= 256
    chunks.close()


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((2, 5)),
        np.zeros((8, 8, 3), np.uint8),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)],
        None,
        b"a.jpg",
        iter(["a.jpg"]),
    ],
    ids=["flat", "one image", "several sizes", "nothing", "bytes", "iterator"],
)
def test_what_is_neither_names_nor_images_is_refused(loaded, given):
    with pytest.raises(InputError, match="expected paths or uint8"):
        loaded.predict(given)


@pytest.mark.parametrize("share", [0, 1, 2, float("nan")])
def test_what_is_no_share_is_refused(loaded, share):
    with pytest.raises(InputError, match="give a share between 0 and 1"):
        loaded.unknown([], share)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("number", [1, 16, 19, 20, 99])
def test_of_photos_like_those_left_out_no_more_than_the_share_is_unknown(
    loaded, monkeypatch, number, share
):
    """Of one more than were left out, each in turn the new one: a count instead of a rank."""
    values = torch.randn(number + 1, generator=torch.Generator().manual_seed(number))
    beyond = 0
    for new in range(number + 1):
        rest = torch.cat([values[:new], values[new + 1 :]])
        trust = Trust(torch.tensor(1.0), rest)
        monkeypatch.setattr(loaded.learner.inference.decides, "trust", trust)
        beyond += bool(values[new] > loaded.limit(share))
    kept_to = max(share, loaded.least_share)
    assert loaded.least_share == pytest.approx(1 / (number + 1))
    assert beyond <= kept_to * (number + 1) + 1e-9 < beyond + 1


def test_what_is_no_photo_is_refused(loaded, tmp_path):
    (tmp_path / "odd.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"odd\.jpg"):
        loaded.predict([tmp_path / "odd.jpg"])


@pytest.mark.parametrize("name", ["nothing", "empty", "foreign"])
def test_what_is_no_model_is_refused(tmp_path, name):
    if name != "nothing":
        (tmp_path / name).mkdir()
    if name == "foreign":
        (tmp_path / name / "manifest.json").write_text("{}")
    with pytest.raises(InputError):
        contsemi.load(tmp_path / name)


def test_a_model_of_a_version_with_fewer_keys_is_read(loaded):
    config = loaded.saved.config
    older = config.model_dump()
    del older["optim"]["warmup"], older["memory"]["index"]
    del older["views"]["policies"]["large"]["cutout"], older["predict"]["folds"]
    found = config_of(older)
    assert found.model == config.model and found.data == config.data
    assert found.predict == config.predict | {"folds": 0}  # as its own file has it
    assert found.views.policies["large"].cutout == config.views.policies["large"].cutout
    older["optim"]["unheard_of"] = 1
    with pytest.raises(ValueError, match="unheard_of"):
        config_of(older)


def test_photos_come_in_chunks_and_a_bad_one_is_said(photos, tmp_path):
    files = sorted(photos.rglob("*.jpg"))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    chunks = list(in_chunks([files[0], tmp_path / "bad.png", *files[1:]] * 4, 8))
    assert max(len(chunk.images) for chunk in chunks) <= 128
    assert sum(len(chunk.images) for chunk in chunks) == 4 * len(files)
    listed = [each for chunk in chunks for each in chunk.listed]
    assert [name for name, problem in listed if problem] == [str(tmp_path / "bad.png")] * 4
    assert [name for name, _ in listed[:2]] == [str(files[0]), str(tmp_path / "bad.png")]


def test_temperature_undoes_a_known_one():
    draw = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(4000, 5, generator=draw)
    labels = torch.multinomial(honest.softmax(1), 1, generator=draw)[:, 0]
    assert float(fitted_temperature(7 * honest, labels)) == pytest.approx(7, rel=0.1)


def test_few_right_answers_do_not_make_sure_of_all():
    scores = 1000 * torch.eye(4)
    probs = (scores / fitted_temperature(scores, torch.arange(4))).softmax(1)
    assert 0.5 < float(probs.max()) < 0.95
    assert float(fitted_temperature(scores[:0], torch.arange(0))) == 1


def test_trust_is_saved_among_the_statistics():
    trust = Trust(torch.tensor(3.0), torch.tensor([1.0, 2.0]))
    found, rest = Trust.taken_from({"counts": torch.ones(2)} | trust.state())
    assert list(rest) == ["counts"]
    assert found is not None and torch.equal(found.strangeness, trust.strangeness)
    assert Trust.taken_from({})[0] is None


def test_strangeness_is_the_difference_of_mahalanobis_distances():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(60, 4, generator=draw, dtype=torch.float64)
    labels = torch.arange(60) % 3
    rows = rows + 3 * torch.nn.functional.one_hot(labels, 4)
    hot = torch.nn.functional.one_hot(labels).double()
    moments = Moments.none(4, rows.device).joined(rows, hot)
    found = moments.strangeness(rows, shrinkage=0.0).numpy()
    values, own = rows.numpy(), labels.numpy()
    means = np.stack([values[own == c].mean(0) for c in range(3)])
    within = sum(np.cov(values[own == c].T, bias=True) for c in range(3)) / 3
    whole = np.cov(values.T, bias=True)
    apart = values[:, None] - means
    near = np.einsum("ncf,fg,ncg->nc", apart, np.linalg.inv(within), apart).min(1)
    centred = values - values.mean(0)
    expected = near - np.einsum("nf,fg,ng->n", centred, np.linalg.inv(whole), centred)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    far = moments.strangeness(torch.full((1, 4), -40.0, dtype=torch.float64), shrinkage=0.0)
    assert float(far) > expected.max()


def test_scores_that_are_no_numbers_are_no_answer(loaded, monkeypatch):
    decides = loaded.learner.inference.decides

    def scores(outputs, asked):
        return torch.full((len(outputs.features), asked.num_seen), torch.nan)

    monkeypatch.setattr(decides, "scores", scores)
    with pytest.raises(MethodFailed, match=r"test_model\.py: line \d+ in scores\(\): returned NaN"):
        loaded.answers(np.zeros((2, 3, loaded.saved.side, loaded.saved.side), np.uint8))
