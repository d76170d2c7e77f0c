"""A key that the method at hand does not read is told, and the run goes on."""

import re

import pytest

from contsemi import compose, pipeline
from contsemi.config import Crop
from contsemi.config.values import Section
from contsemi.learner.learner import Learner
from contsemi.pipeline.unread import notes, unread

WITHOUT_LARGE = {
    "swav": "epsilon iterations assign beta queue clusters temperature prior small_views",
    "dino": "teacher_temperature centre_momentum directions clusters",
    "daino": "teacher_warmup ramp prior labels_from index_by",
    "suave": "queue beta labels_from mix_large",
    "uml": "ways shots similarity hard_negatives dropout embedding",
    "csl": "sharpening index_share prior",
    "paws": "smoothing predictor weights.me_max",
    "cmsf": "small_views threshold",
    "mira": "small_views",
    "byol": "small_views",
}


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("contsemi", "views.policies.strong.flip"),
        ("contsemi", "predictor"),
        ("contsemi", "optim.classifier_lr"),
        ("contsemi", "batch.labelled"),
        ("contsemi", "coarse_ratio"),
        ("suave", "memory.embeddings"),
        ("contsemi", "memory.embeddings"),  # unless distiller.neighbours are to vote
        ("suave", "memory.index"),
        ("suave", "memory.anchors"),
        ("contsemi", "memory.index"),  # unless distiller.neighbours are to vote
        ("suave", "objective.index_neighbours"),
        ("csl", "objective.index_by"),
        ("swav", "objective.queue_from"),
        ("ascl objective.form=batch", "objective.bank"),
        ("finetune", "projector"),
        ("finetune", "head_norm"),
        ("finetune", "head_activation"),
        ("finetune", "optim.freeze_directions"),
        ("finetune", "views.policies.large.size"),
        ("csl", "optim.freeze_directions"),
        ("pixel_knn", "optim.epochs"),
        ("pixel_knn", "optim.lr"),
        ("pixel_knn", "views.policies.labelled.flip"),
        ("contsemi", "predict.balance"),
        ("frozen predict=ranpac", "predict.shrinkage"),
        ("contsemi distiller=[nnd,cassle]", "distiller.cassle.off_diagonal"),
        ("suave distiller=nnd distiller.alpha=1", "distiller.supports"),
        ("trex objective.hidden_layers=0", "objective.hidden"),
        ("promptcal objective.affinity_share=0", "objective.quantile"),
        ("ascl objective.neighbours=0", "objective.variant"),
        ("wcl objective.small_views=0", "objective.neighbours"),
        ("wcl objective.small_views=0", "objective.weights.crops"),
        ("suave", "objective.mix_weight"),
        ("suave predict=moments objective.labelled_views=0", "objective.weights.labels"),
        ("byol predict=moments objective.labelled_views=0", "objective.smoothing"),
        ("byol predict=moments objective.labelled_views=0", "optim.classifier_lr"),
        ("byol predict=moments objective.weights.labels=0", "optim.classifier_lr"),
        ("fixmatch predict=moments objective.labelled_views=0", "batch.labelled"),
        ("uml", "objective.small_views"),
        ("promptcal", "objective.small_views"),
        *(
            (f"{method} objective.large_views=0", f"objective.{key}")
            for method, keys in WITHOUT_LARGE.items()
            for key in keys.split()
        ),
        ("finetune", "memory.exemplars"),
        ("frozen model=pixels", "memory.exemplars"),
        ("frozen model=pixels", "memory.anchors"),
        ("frozen model=pixels", "predict.ridge"),
    ],
)
@pytest.mark.quick(3)
def test_a_method_says_what_it_has_no_use_for(method, key):
    assert (
        unread(Learner(compose.load([*f"method={method}".split(), "device=cpu"])), key) is not None
    )


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("contsemi", "views.policies.large.size"),
        ("contsemi", "memory.anchors"),
        ("contsemi", "projector"),
        ("contsemi", "optim.lr"),
        ("byol", "predictor"),
        ("swav objective.queue=64", "objective.queue_from"),
        ("swav", "objective.small_views"),
        ("fixmatch objective.labels_from=index", "objective.index_by"),  # it has no large views
        ("daino objective.large_views=0", "objective.temperature"),  # of labels, too
        ("dino objective.large_views=0", "objective.teacher"),  # which predicts
        ("swav objective.assign=mira", "objective.beta"),
        ("ascl", "objective.bank"),
        ("byol", "head_norm"),
        ("finetune", "optim.classifier_lr"),
        ("finetune", "batch.labelled"),
        ("finetune", "batch.unlabelled"),  # decides on the number of steps
        ("suave", "optim.freeze_directions"),
        ("hiermatch", "coarse_ratio"),
        ("contsemi", "predict.shrinkage"),
        ("frozen predict.rounds=3", "predict.balance"),
        ("contsemi distiller=[nnd,cassle]", "distiller.cassle.hidden"),
        ("wcl", "objective.neighbours"),
        ("wcl", "objective.weights.crops"),
        ("suave objective.mix_large=true", "objective.mix_weight"),
        (
            "suave objective.labelled_views=0 objective.labelled_small_views=1",
            "objective.weights.labels",
        ),
        ("finetune objective.labelled_from=all", "memory.exemplars"),
        ("finetune predict=moments", "memory.exemplars"),  # the map of drift reads them
        ("contsemi", "predict.ridge"),
    ],
)
@pytest.mark.quick(3)
def test_and_takes_what_it_reads(method, key):
    assert unread(Learner(compose.load([*f"method={method}".split(), "device=cpu"])), key) is None


@pytest.mark.parametrize(
    "words",
    [
        ["method=suave", "objective.labels_from=index"],
        ["method=contsemi", "memory.embeddings=50", "distiller.neighbours=10"],
        ["method=propos"],  # clusters its own images anew
    ],
)
def test_an_index_that_is_searched_for_training_is_read(words):
    learner = Learner(compose.load(["device=cpu", *words]))
    assert unread(learner, "memory.index") is None
    if learner.config.objective.get("labels_from") == "index":
        assert unread(learner, "objective.index_neighbours") is None


@pytest.mark.parametrize("key", ["labels", "labels.seed", "scenario.label_seed"])
@pytest.mark.thorough
def test_what_chooses_labels_where_each_image_has_one(key):
    for method in ("finetune", "replay"):
        for ratio, told in (("100%", True), ("1", True), ("[100%,100%]", True), ("99%", False)):
            words = [f"method={method}", f"label_ratio={ratio}", "scenario.tasks=2"]
            assert bool(notes(compose.load(words), None, [key])) is told
    assert not notes(compose.load(["label_ratio=[100%,5%]", "scenario.tasks=2"]), None, [key])
    assert not notes(compose.load(["label_ratio=4/class"]), None, [key])


ONE_EACH, TWO_EACH = "scenario.task_classes=[1,1,1,1]", "scenario.task_classes=[2,2]"


@pytest.mark.parametrize(
    ("words", "key", "told"),
    [
        (["labels=usl", "labels.weight=0"], "labels.horizon", True),
        (["labels=usl", "labels.iterations=1"], "labels.own_cluster", True),
        (["labels=usl", "labels.iterations=1"], "labels.horizon", False),
        (["labels=usl"], "labels.own_cluster", False),
    ],
)
def test_what_a_choice_of_labels_does_not_read_is_told(words, key, told):
    assert bool(notes(compose.load(["method=replay", *words]), None, [key])) is told


FROZEN = ["model=efficientnet_lite0", "model.pretrained=false", "model.frozen=true"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["method=suave", "distiller=projected", *FROZEN],
            "distiller=projected has no effect: fea",
        ),
        (["method=suave", "distiller=[feature,simreg]", *FROZEN], "distiller=simreg has no effect"),
        (["method=suave", "distiller=feature", *FROZEN], ""),  # which holds the projector
        (["method=suave", "distiller=projected"], ""),
        (
            ["method=finetune", "distiller=lwf", "memory.exemplars=20"],
            "labelled_from=current has no effect: exemplars distil, which supervised+lwf then",
        ),
        (["method=finetune", "distiller=lwf"], ""),  # no exemplars are kept
        (["method=suave", "distiller=nnd", "memory.exemplars=20"], ""),
    ],
)
def test_what_a_distiller_does_not_do_is_told_without_a_key(words, told):
    learner = Learner(compose.load(["device=cpu", *words]))
    found = notes(learner.config, learner, [])
    assert told in " ".join(found) if told else not found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["distiller=lwf", "distiller.local=true", ONE_EACH], "and each earlier one brought one"),
        (["distiller=lwf", "distiller.local=true", TWO_EACH], ""),
        (["distiller=lwf", ONE_EACH], ""),
        (["distiller=lwf", "scenario.task_classes=[1,1]"], "never more than one old class"),
        (["distiller=lwf", "scenario.task_classes=[4]"], "distiller=lwf has no effect: the stream"),
        (["distiller=projected", "distiller.of=start", "scenario.task_classes=[4]"], ""),
        (
            ["distiller=[feature,simreg]", "scenario.task_classes=[4]"],
            "distiller=simreg has no eff",
        ),
        (["distiller=nnd", "memory.exemplars=0", TWO_EACH], "labelled image of an old class is"),
        (["distiller=nnd", "memory.exemplars=0", "distiller.supports=current", TWO_EACH], ""),
        (["distiller=nnd", "memory.exemplars=0", TWO_EACH, "scenario.recurrence=0.9"], ""),
        (["distiller=nnd", "memory.exemplars=20", TWO_EACH], ""),
        (
            ["distiller=nnd", "memory.exemplars=20", "distiller.weights.distillation=0", TWO_EACH],
            "distiller=nnd has no effect: no term of it has a weight above 0",
        ),
        (
            ["distiller=[nnd,feature]", "distiller.feature.weights.features=0", TWO_EACH],
            "no term of it has a weight above 0 in distiller.feature.weights",
        ),
    ],
)
@pytest.mark.quick(4)
def test_a_distiller_that_never_counts_in_a_stream_is_told(words, told, stream_of):
    method = "method=finetune" if "distiller=lwf" in words else "method=suave"
    (sizes,) = (word for word in words if word.startswith("scenario.task_classes"))
    classes = f"scenario.classes={sum(map(int, re.findall('[0-9]', sizes)))}"
    config = compose.load([method, "device=cpu", "scenario.tasks=null", classes, *words])
    tasks = stream_of(config)[0].experiences
    found = notes(config, Learner(config), [], tasks)
    assert told in " ".join(found) if told else not found


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["method=suave", "objective.queue=64", "objective.queue_from=3"],
            "objective.queue has no",
        ),
        (["method=suave", "objective.queue=64", "objective.queue_from=2"], ""),
        (["method=suave", "objective.queue_from=3"], ""),
        (["method=mochi", "objective.pairs=8", "objective.pairs_from=9"], "objective.pairs has no"),
        (["method=propos", "objective.warmup=3"], "objective.weights.scattering has no effect"),
    ],
)
@pytest.mark.quick(2)
def test_what_begins_after_the_last_epoch_of_a_task_is_told(words, told):
    learner = Learner(compose.load(["device=cpu", "optim.epochs=3", *words]))
    found = notes(learner.config, learner, [])
    assert told in " ".join(found) if told else not found


def test_the_rate_of_a_frozen_backbone_is_told():
    learner = Learner(compose.load(["method=suave", "device=cpu", *FROZEN]))
    assert unread(learner, "optim.backbone_lr") == "the backbone is frozen"


@pytest.mark.thorough
def test_a_run_says_so_and_goes_on(small, tmp_path, capsys):
    words = ("scenario.classes=4", "scenario.tasks=2", "optim.epochs=1")
    config = small("method=finetune", "projector=[16,8]", *words, f"output={tmp_path / 'run'}")
    pipeline.run(config, {"projector": [128, 64]})
    shown = " ".join(capsys.readouterr().out.split())
    assert "projector has no effect: finetune has no projector" in shown


# Keys of the front, of what a run may be saved as, and of what only a GPU or several processes
# have: no step of a small run on a CPU comes to them.
ELSEWHERE = {"device", "resume", "track", "output", "threads", "display", "compile"}
# Refused where they are given (compose/consistency.py), or taken everywhere: how fast it goes.
ELSEWHERE |= {"scenario.unlabelled_root", "scenario.name", "views.name", "data.workers"}


@pytest.mark.parametrize("method", ["suave", "finetune", "pixel_knn"])
@pytest.mark.quick(1)
def test_what_no_line_of_a_run_looks_at_is_refused(method, small, tmp_path, monkeypatch):
    """Each key is watched in a whole run: one that is never looked at is one that is refused."""
    from contsemi.compose.idle import why_idle

    words = ["scenario.classes=4", "scenario.tasks=2", "optim.epochs=1", "batch.unlabelled=64"]
    config = small(f"method={method}", *words, f"output={tmp_path}")
    names = {id(section): name for name, section in _sections(config)}
    looked = set()
    real = Section.__getattribute__

    def watched(self, key):
        value = real(self, key)
        if (name := names.get(id(self))) is not None and key in type(self).model_fields:
            looked.add(f"{name}.{key}".lstrip("."))
        return value

    monkeypatch.setattr("contsemi.report.pages.draw.draw", lambda run: [])
    monkeypatch.setattr(Section, "__getattribute__", watched)
    pipeline.run(config)
    monkeypatch.undo()
    learner = Learner(config)
    every = {f"{name}.{key}".lstrip(".") for name, s in _sections(config) for key in _leaves(s)}
    silent = [
        key
        for key in sorted(every - looked - ELSEWHERE)
        if why_idle(config, key) is None and unread(learner, key) is None
    ]
    assert not silent


def _sections(config):
    """Every section of a run with its dotted name."""
    yield "", config
    for key in type(config).model_fields:
        value = getattr(config, key)
        if isinstance(value, Section):
            for name, section in _sections(value):
                yield f"{key}.{name}".rstrip("."), section
        elif key == "policies":
            for policy, crop in value.items():
                assert isinstance(crop, Crop)
                for name, section in _sections(crop):
                    yield f"{key}.{policy}.{name}".rstrip("."), section


def _leaves(section):
    for key in type(section).model_fields:
        value = getattr(section, key)
        if not isinstance(value, Section) and key != "policies":
            yield key
