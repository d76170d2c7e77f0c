"""Weights from a file: a backbone of timm takes them, every record names them, a state has them."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

import contsemi
from contsemi import compose, pipeline
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.learner.parts import from_state

WORDS = ("model=timm", "model.arch=resnet10t", "views.test_size=32", "threads=1", "device=cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A state_dict of timm's with its classifier, as one downloads it."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(7)
    file = tmp_path_factory.mktemp("weights") / "resnet10t.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), file)
    return file


def test_timm_gives_the_features_of_its_own_file(weights):
    timm = pytest.importorskip("timm")
    learner = Learner(compose.load(["method=frozen", *WORDS, f"init.weights={weights}"]))
    theirs = timm.create_model("resnet10t", checkpoint_path=str(weights)).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = learner.network.eval().backbone(images)
        theirs.reset_classifier(0)
        torch.testing.assert_close(found, theirs(images))


def test_another_architecture_is_refused_in_one_line(weights):
    words = ["method=frozen", *WORDS, "model.arch=resnet18", f"init.weights={weights}"]
    last = {word.partition("=")[0]: word for word in words}
    with pytest.raises(InputError, match="as in the file"):
        Learner(compose.load(list(last.values())))


@pytest.mark.slow
def test_a_run_names_them_and_its_model_needs_the_file_no_more(weights, tmp_path):
    file = tmp_path / weights.name
    file.write_bytes(weights.read_bytes())
    folder = tmp_path / "run"
    words = ["method=frozen", *WORDS, f"init.weights={file}", f"output={folder}", "display=quiet"]
    words += ["scenario.classes=4", "scenario.tasks=2", f"data.cache={tmp_path / 'cache'}"]
    pipeline.run(compose.load(words))
    said = json.loads((folder / "manifest.json").read_text())["pretrained"]
    assert said == {
        "name": "resnet10t.safetensors",
        "source": "a file",
        "licence": "unknown",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "labels": "unknown",
    }
    assert "pre-trained" in (folder / "report.html").read_text().lower()
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8).numpy()
    before = contsemi.load(folder).predict_proba(images)
    file.unlink()
    assert (contsemi.load(folder).predict_proba(images) == before).all()
    # Trained on, the backbone at a tenth of the rate of what is new, from the run's own state.
    state = max((folder / "checkpoints").glob("state-*.safetensors"))
    words = [*WORDS, "method=finetune", "model.frozen=false", "optim.backbone_lr=0.001"]
    learner = Learner(compose.load([*words, f"init.weights={state}"]))
    assert torch.equal(
        learner.network.backbone.trunk.conv1[0].weight,
        contsemi.load(folder).learner.network.backbone.trunk.conv1[0].weight,
    )


def test_a_state_needs_neither_package_nor_file():
    config = compose.load(["method=frozen", "model=efficientnet_lite0", "views=pretrained"])
    found = from_state(config)
    assert found.model["pretrained"] is False and found.init.weights is None
    assert found.model_copy(update={"model": config.model}) == config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["views.test_size=1"], r"views\.policies\.\w+\.size: is 8, .* images of 1 pixels alone"),
        (
            ["model.size=4"],
            r"views\.test_size: is 8, and .* images of 4 pixels alone",
        ),
        (["views.policies.small.size=4", "objective.small_views=2"], r"small\.size: is 4"),
    ],
)
def test_a_model_of_one_side_sees_no_other(words, said):
    config = compose.load(["method=contsemi", "model=pixels", *words])
    with pytest.raises(InputError, match=said):
        Learner(config)


def test_views_that_nothing_asks_for_may_have_any_side():
    Learner(compose.load(["method=pixel_knn", "views.test_size=4"]))
