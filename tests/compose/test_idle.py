"""A key that another key makes void is an error that says why."""

import pytest

from contsemi import compose
from contsemi.compose import argv
from contsemi.compose.consistency import refuse_unread
from contsemi.errors import InputError

# A key, what makes it void, and what gives it an effect.
PAIRS = [
    ("memory.selection=herding", ["memory.exemplars=0"], []),
    ("memory.selection=reservoir", ["method=suave", "memory.exemplars=0"], ["method=nncsl"]),
    ("memory.pseudo_labels=0.5", ["memory.exemplars=0"], []),
    ("memory.drift=mlp", [], ["memory.embeddings=50"]),
    ("memory.top_labels=3", [], ["memory.embeddings=50"]),
    ("memory.drift.ridge=0.1", [], ["memory.embeddings=50"]),
    ("optim.momentum=0.5", [], ["optim.name=sgd"]),
    ("optim.momentum=0.5", ["optim.name=adamw"], ["optim.name=lars"]),
    ("optim.adapt_vectors=true", ["optim.weight_decay=0"], ["optim.name=lars"]),
    ("optim.start_lr=0.001", ["optim.warmup=0"], []),
    ("optim.clip_by=tensor", ["optim.clip=0"], []),
    ("evaluate.images=5", [], ["evaluate.every_steps=2"]),
    ("evaluate.probe_images=5", [], ["evaluate.probes=[knn]"]),
    ("scenario.order_seed=3", [], ["scenario.class_order=shuffled"]),
    ("scenario.order_seed=3", ["scenario.class_order=id"], ["scenario.novel=0.2"]),
    ("init.projector=true", [], []),
    ("views.policies.large.blur_sigma=[1,2]", ["views.policies.large.blur=0"], []),
    ("views.policies.large.jitter.hue=0.1", ["views.policies.large.jitter.probability=0"], []),
    ("views.policies.large.erase_scale=[0.1,0.2]", [], ["views.policies.large.erase=0.5"]),
    (
        "views.policies.weak.jitter.probability=0.5",
        [],
        ["views.policies.weak.jitter.contrast=0.2"],
    ),
    (
        "views.policies.large.rand_augment.operations=2",
        ["views.policies.large.rand_augment.probability=0"],
        ["views.policies.large.rand_augment.probability=0.5"],
    ),
    ("data.test_share=0.3", [], []),
    ("data.download=true", [], []),
]


@pytest.mark.parametrize(("word", "void", "alive"), PAIRS)
@pytest.mark.quick(2)
def test_it_names_the_key_and_what_makes_it_void(word, void, alive):
    with pytest.raises(InputError) as error:
        compose.load([*void, word])
    assert error.value.where == word.partition("=")[0]
    assert error.value.problem.startswith("has no effect, as ")
    assert "\n" not in str(error.value)
    if alive:
        compose.load([*alive, word])


@pytest.mark.parametrize("key", ["scenario.name", "views.name", "scenario.dataset"])
def test_a_record_is_not_renamed(key):
    with pytest.raises(InputError, match=rf"{key}: is "):
        compose.load([f"{key}=cifar10"])


def test_a_value_that_is_there_already_is_no_wish():
    compose.load(["optim.momentum=0.9", "memory.index=auto", "evaluate.images=1000"])


def test_in_a_sweep_one_run_has_to_read_it():
    def sweep(*words):
        return compose.expand(argv.split(words).tokens, multirun=True)

    assert len(sweep("optim.name=sgd,adamw", "optim.momentum=0.5")) == 2
    with pytest.raises(InputError, match=r"optim\.momentum: has no effect"):
        sweep("optim.name=adamw", "seed=1,2", "optim.momentum=0.5")


def test_keys_without_a_part_in_a_folders_name_are_not_swept():
    with pytest.raises(InputError, match="device has no part in the name of a run's folder"):
        compose.expand(argv.split(["device=cpu,auto"]).tokens, multirun=True)
    with pytest.raises(InputError, match="threads has no part"):
        compose.expand(argv.split(["seed=0", "threads=1,2"]).tokens, multirun=True)


LISTED = [
    "scenario.lists={folder}",
    "scenario.class_order=id",
    "scenario.tasks=null",
    "scenario.task_classes=null",
]


@pytest.mark.parametrize("key", ["labels", "labels.neighbours", "scenario.label_seed"])
def test_nothing_chooses_labels_that_are_listed(key, tmp_path):
    (tmp_path / "labels.txt").write_text("1\n2\n")
    (tmp_path / "classes.txt").write_text("0, 1\n2, 3\n")
    lists = [each.format(folder=tmp_path) for each in LISTED]
    refuse_unread(compose.load(lists), [key])  # which say nothing of labels yet
    (tmp_path / "labelled.txt").write_text("1 2\n3 4\n")
    for listing, given in (
        ("scenario.labels", [f"scenario.labels={tmp_path / 'labels.txt'}"]),
        ("scenario.lists", lists),
    ):
        with pytest.raises(InputError, match=f"{key}: .* as {listing} lists the labelled images"):
            refuse_unread(compose.load(given), [key])


def test_a_folder_of_foreign_images_needs_a_share_of_them():
    pool = ["scenario=digits_wild", "scenario.unlabelled_root=digits"]
    with pytest.raises(InputError, match="which has no foreign images"):
        compose.load([*pool, "scenario.unlabelled.current=0.7", "scenario.unlabelled.foreign=0.0"])
    compose.load(pool)
