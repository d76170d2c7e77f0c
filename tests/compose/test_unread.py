"""A key that a baseline does not read is an error."""

import pytest

from contsemi import compose
from contsemi.compose import argv, resources
from contsemi.compose.unread import REMEMBERS
from contsemi.errors import InputError


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["method=replay", "predict=moments"], "predict"),
        (["method=replay", "memory.embeddings=100"], "memory.embeddings"),
        (["method=lwf", "memory.exemplars=50"], "memory.exemplars"),
        (["method=ewc", "memory.selection=herding"], "memory.selection"),
        (["method=derpp", "projector=[16,8]", "head_norm=false"], "projector, head_norm"),
        (["method=si", "optim.freeze_batch_norm=true"], "optim.freeze_batch_norm"),
        (["method=naive", "checkpoint.seconds=5"], "checkpoint.seconds"),
        (["method=naive", "views.policies.large.size=9"], "views.policies.large.size"),
    ],
)
@pytest.mark.quick(2)
def test_it_names_the_keys_and_the_baseline(words, keys):
    name = words[0].removeprefix("method=")
    with pytest.raises(InputError) as error:
        compose.load(words)
    assert error.value.where == keys
    assert f"baseline={name} does not read" in error.value.problem
    assert "\n" not in str(error.value)


def test_a_folder_of_unlabelled_images(tmp_path):
    words = ["scenario.unlabelled=folder", f"scenario.unlabelled_root={tmp_path}"]
    with pytest.raises(InputError, match=r"scenario\.unlabelled, scenario\.unlabelled_root"):
        compose.load(["method=replay", *words])
    compose.load(["method=suave", *words])


def test_weights_to_start_from(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"init\.weights: baseline=replay does not read it"):
        compose.load(["method=replay", f"init.weights={tmp_path / 'w.pt'}"])


def test_a_value_that_is_there_already_changes_nothing():
    compose.load(["method=replay", "memory.embeddings=0", "head_norm=true"])


def test_what_it_reads_is_taken():
    words = ["views.policies.labelled.flip=0.5", "optim.lr=0.1", "scenario.unlabelled=seen"]
    assert compose.load(["method=replay", "memory.exemplars=40", *words]).memory.exemplars == 40


@pytest.mark.thorough
def test_in_a_sweep_one_method_has_to_read_it():
    def sweep(*words):
        return compose.expand(argv.split(words).tokens, multirun=True)

    assert len(sweep("method=suave,replay,lwf", "memory.exemplars=40", "projector=[16,8]")) == 3
    with pytest.raises(InputError, match=r"projector: baseline=replay"):
        sweep("method=replay,lwf", "memory.exemplars=40", "projector=[16,8]")


@pytest.mark.thorough
def test_those_that_remember_are_those_whose_file_keeps_images():
    names = {f.stem for f in (resources.conf() / "baseline").glob("*.yaml")} - {"none"}
    keeping = {name for name in names if compose.load([f"method={name}"]).memory.exemplars}
    assert keeping == set(REMEMBERS)
