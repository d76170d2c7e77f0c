"""PromptCAL inside a step: stages, bank and graph; its losses have tests of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn.functional import pad

from contsemi.blocks.fifo import Fifo
from contsemi.errors import InputError
from contsemi.learner.learner import Learner
from contsemi.losses.affinity import label_contrast, views_contrast
from contsemi.models import build_backbone
from contsemi.models.network import Network
from contsemi.objectives.promptcal import Promptcal
from contsemi.types import Experience, Outputs, Seen, Step

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "reference" / "parts"
ARRAYS = sorted(PARTS.glob("promptcal_cross_*.npz"))
SECTION = yaml.safe_load((ROOT / "conf" / "objective" / "promptcal.yaml").read_text())


def promptcal(**keys):
    options = {k: v for k, v in SECTION.items() if k not in ("name", "weights", "ranges")}
    made = Promptcal(**options | {"bank": 12, "neighbours": 3} | keys)
    made.begin(
        Experience(
            index=0,
            columns=(0, 1, 2),
            num_old=0,
            num_seen=3,
            labelled=torch.arange(4),
            labels=torch.tensor([0, 1, 2, 0]),
            unlabelled=torch.arange(20),
        )
    )
    return made


def rows(number, width=6, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(number, width, generator=draw, dtype=dtype)


def step_of(large=None, labelled=None, labels=(), progress=0.9, heads=("projector",)):
    """A step; ``large`` and ``labelled`` are pairs of embeddings: the student's, the teacher's."""
    seen, more = {}, max([2, *labels]) - 2  # classes above three
    for name, pair in (("large", large), ("labelled", labelled)):
        if pair is not None:
            made = [
                Outputs(
                    each[:, :2],
                    dict.fromkeys(heads, each) | {"classifier": pad(each[:, :3], (0, more))},
                )
                for each in pair
            ]
            seen[name] = Seen(student=made[0], teacher=made[1], number=2)
    images = 0 if large is None else len(large[0]) // 2
    labels = torch.tensor(labels, dtype=torch.int64)
    return Step(
        seen=seen,
        labels=labels,
        labelled_ids=torch.arange(len(labels)),
        unlabelled_ids=torch.arange(images),
        places=torch.arange(images),
        columns=torch.arange(3),
        num_old=0,
        num_seen=3,
        progress=progress,
        draw=lambda purpose: torch.Generator().manual_seed(len(purpose)),
    )


def pair(number, seed=0):
    return rows(2 * number, seed=seed).requires_grad_(), rows(2 * number, seed=seed + 1)


@pytest.mark.parametrize("path", ARRAYS, ids=lambda path: path.stem)
def test_the_second_stage_without_stored_rows_is_the_official_cross_loss(path, official):
    """Images with a label come behind the others here; the mean does not mind their order."""
    data = official.load(path)
    known = data["labelled"].bool()
    student, slow = data["student"].requires_grad_(), data["teacher"]
    both = known.repeat(2)
    given = {
        "large": (student[~both], slow[~both]) if (~known).any() else None,
        "labelled": (student[both], slow[both]) if known.any() else None,
    }
    step = step_of(**given, labels=data["labels"][known].tolist(), progress=0.5)
    made = promptcal(first_stage=0.5, alpha=float(data["alpha"]), affinity_share=0.0)
    terms = made.terms(step)
    loss = terms["views"] + terms["classes"] + terms["affinity"]
    if "official_raises" in data:
        loss = loss / (1 - made.alpha)  # no label: the contrast of views is all there is
        expected, gradient = data["infonce"], data["grad_infonce"]
    else:
        expected, gradient = data["loss"], data["grad_student"]
    official.close(loss, expected)
    official.close(torch.autograd.grad(loss, student)[0], gradient)


def parted(data, student, slow):
    """Views of unlabelled images, of labelled ones, and these labels; how the rows then stand."""
    known = data["labelled"].bool()
    images = torch.cat([(~known).nonzero()[:, 0], known.nonzero()[:, 0]])
    order = torch.cat([images, images + len(known)])
    both = known.repeat(2)
    given = {
        "large": (student[~both], slow[~both]) if (~known).any() else None,
        "labelled": (student[both], slow[both]) if known.any() else None,
    }
    return given, data["labels"][known].tolist(), order


@pytest.mark.parametrize("path", sorted(PARTS.glob("promptcal_semi_*.npz")), ids=lambda p: p.stem)
def test_the_first_stage_is_the_official_loss(path, official):
    data = official.load(path)
    student = data["embeddings"].requires_grad_()
    given, labels, _ = parted(data, student, rows(len(student), student.shape[1], seed=3))
    made = promptcal(
        first_stage=1.0,
        alpha=float(data["alpha"]),
        temperature=float(data["temperature"]),
        label_temperature=float(data["supcon_temperature"]),
    )
    terms = made.terms(step_of(**given, labels=labels, progress=0.5))
    loss, expected, gradient = terms["views"] + terms["classes"], "loss", "grad"
    if "official_raises" in data:  # no label: the contrast of views is all there is
        loss, expected, gradient = loss / (1 - made.alpha), "infonce", "grad_infonce"
    official.close(loss, data[expected])
    official.close(torch.autograd.grad(loss, student)[0], data[gradient])


@pytest.mark.parametrize("path", sorted(PARTS.glob("promptcal_graph_*.npz")), ids=lambda p: p.stem)
def test_the_second_stage_is_the_official_loss_with_stored_rows(path, official, monkeypatch):
    """Its draw of negatives is given; rows stand in another order, which the mean does not mind."""
    data = official.load(path)
    made = promptcal(
        first_stage=0.0,
        affinity_ramp=0.0,
        affinity_share=0.6,
        alpha=0.25,
        affinity_temperature=float(data["temperature"]),
        bank=int(data["bank_size"]),
        neighbours=int(data["k"]),
        quantile=float(data["quantile"]),
        diffusion=int(data["diffusion_steps"]),
        negatives=int(data["negatives"]),
    )
    known = data["bank_labelled"].bool()
    made.kin.push(data["bank"], labels=torch.where(known, data["bank_labels"], -1))
    student = data["student"].requires_grad_()
    given, labels, order = parted(data, student, data["teacher"])
    seen = []

    def drawn(graph, number, draw):
        seen.append(graph)
        return data["negatives_sampled"].bool()[order]

    monkeypatch.setattr("contsemi.objectives.promptcal.sampled_negatives", drawn)
    loss = made.terms(step_of(**given, labels=labels))["affinity"]
    assert torch.equal(seen[0], data["affinity_graph"].bool()[order])
    share = 0.75 * 0.6
    official.close(loss, share * data["cal_loss_swapped_view"])
    (gradient,) = torch.autograd.grad(loss, student)
    official.close(gradient, share * data["grad_student_swapped_view"])


def test_the_first_stage_is_within_the_student():
    large, labelled = pair(4), pair(2, seed=5)
    terms = promptcal(first_stage=0.3).terms(step_of(large, labelled, [0, 1], progress=0.0))
    views = [
        torch.cat(halves) for halves in zip(large[0].chunk(2), labelled[0].chunk(2), strict=True)
    ]
    student = torch.cat(views)
    expected = views_contrast(student, student, temperature=1.0)
    torch.testing.assert_close(terms["views"], (1 - 0.35) * expected)
    labels = torch.tensor([-1] * 4 + [0, 1])
    classes = label_contrast(student, student, labels, temperature=0.07)
    torch.testing.assert_close(terms["classes"], 0.35 * classes)
    assert terms["affinity"] == 0


def test_stored_rows_count_once_the_bank_is_full_and_the_share_has_risen():
    made = promptcal(first_stage=0.2, affinity_ramp=0.1)
    step = step_of(pair(3), progress=0.25)  # six rows a step: full after two
    found = [made.terms(step)["affinity"].item() for _ in range(4)]
    assert found[0] == found[1] == 0 and found[2] > 0
    assert made._affinity_share(step_of(progress=0.19)) == 0
    assert made._affinity_share(step_of(progress=0.25)) == pytest.approx(0.3)
    assert made._affinity_share(step_of(progress=0.9)) == pytest.approx(0.6)


def test_double_precision_stays_so():
    """As where several processes are compared with one."""
    single, double = promptcal(first_stage=0.0), promptcal(first_stage=0.0)
    for _ in range(3):
        large = pair(3)
        expected = single.terms(step_of(large))
        found = double.terms(step_of(tuple(each.double() for each in large)))
    assert double.kin.rows.dtype == found["affinity"].dtype == torch.float64
    assert found["affinity"] > 0
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.double(), rtol=1e-5, atol=1e-6)


def test_the_share_rises_as_in_the_official_code(official):
    data = official.load(PARTS / "promptcal_schedule.npz")
    ramp = int(data["ramp_epochs"]) * int(data["steps_per_epoch"])
    total = 2 * len(data["cal_weight"])
    made = promptcal(
        first_stage=0.0, affinity_ramp=ramp / total, affinity_share=float(data["weight_max"])
    )
    for at, expected in enumerate(data["cal_weight"]):
        assert made._affinity_share(step_of(progress=at / total)) == pytest.approx(float(expected))


def test_the_bank_holds_the_slow_network_and_no_hidden_label():
    made = promptcal()
    large, labelled = pair(4), pair(2, seed=5)
    made.terms(step_of(large, labelled, [0, 1], progress=0.0))
    assert made.kin["labels"].tolist() == [-1, -1, -1, -1, 0, 1] * 2
    unit = torch.nn.functional.normalize(large[1], dim=1)
    torch.testing.assert_close(made.kin.rows[:4], unit[:4])
    assert made.prompt_kin.allocated is False


def test_the_bank_wraps_as_in_the_official_code(official):
    for path in PARTS.glob("promptcal_bank*.npz"):
        data = official.load(path)
        bank = Fifo(int(data["size"]))
        for add in range(len(data["adds"])):
            bank.push(data[f"rows_{add}"])
            filled = data[f"valid_{add + 1}"].bool()
            assert torch.equal(bank.filled, filled)
            official.close(bank.rows[filled], data[f"bank_{add + 1}"][filled])
            assert int(bank.pointer) % bank.slots == int(data[f"pointer_{add + 1}"])


def test_labels_decide_which_stored_rows_attract():
    """A stored row of the class is a positive whatever the graph says, one of another never."""
    labelled = rows(4, seed=1).requires_grad_(), rows(4, seed=2)
    losses = []
    for labels in ([0, 1], [0, 0]):
        made = promptcal(first_stage=0.0, affinity_ramp=0.0, negatives=-1, bank=4)
        step = step_of(None, labelled, labels)
        made.terms(step)
        losses.append(made.terms(step)["affinity"].item())
    assert losses[0] != losses[1]


def test_no_gradient_reaches_the_slow_network_or_the_bank():
    made = promptcal(first_stage=0.0, affinity_ramp=0.0)
    large = pair(4)
    large[1].requires_grad_(False)
    for _ in range(3):
        terms = made.terms(step_of(large))
    assert terms["affinity"] > 0 and not made.kin.rows.requires_grad
    (gradient,) = torch.autograd.grad(terms["affinity"], large[0])
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_prompts_have_a_second_loss_and_a_bank_of_their_own():
    made = promptcal(prompt_projector=[8, 6])
    assert "prompted" in made.needs.head_names
    step = step_of(pair(4), progress=0.0, heads=("projector", "prompted"))
    found, plain = made.terms(step), promptcal().terms(step)
    torch.testing.assert_close(found["views"], 1.35 * plain["views"])
    assert made.prompt_kin.allocated


def test_steps_without_labels_or_without_images():
    made = promptcal()
    assert made.terms(step_of()) == {}
    assert made.terms(step_of(pair(3)))["classes"] == 0
    alone = made.terms(step_of(None, pair(2), [0, 1]))
    assert set(alone) == {"views", "classes", "affinity", "labels"}
    assert all(term.isfinite() for term in alone.values())


def test_a_third_view_is_refused():
    with pytest.raises(InputError, match="first positive"):
        promptcal(large_views=3)


@pytest.mark.thorough
def test_a_network_with_prompts_has_the_head_on_them():
    draw = torch.Generator().manual_seed(0)
    vit = {"name": "vit_small", "image_size": 32, "patch": 16, "prompts": 3, "prompts_read": 2}
    made = promptcal(prompt_projector=[8, 6])
    network = Network(build_backbone(vit, draw), made.needs.heads, [8, 6], draw)
    network.grow(3, draw)
    outputs = network(torch.randn(4, 3, 32, 32, generator=draw), made.needs.head_names)
    assert outputs["projector"].shape == outputs["prompted"].shape == (4, 6)
    outputs["prompted"].square().sum().backward()
    assert (network.backbone.prompts.tokens.grad != 0).any()


def test_features_are_held_to_the_start_with_the_official_weight(official):
    """Value and gradient by the formula, in numpy; the weight falls as in the official code."""
    data = official.load(PARTS / "promptcal_schedule.npz")
    ends = [float(data["kd_max"]), float(data["kd_min"])]
    made = promptcal(kept_for=0.2, kept_weight=ends)
    assert made.needs.start == 0.2
    large, labelled = pair(3), pair(1, seed=5)
    starts = rows(6, 2, seed=8), rows(2, 2, seed=9)
    for epoch, weight in enumerate(data["kd_weight"]):
        progress = 0.2 * epoch / int(data["kd_epochs"])
        step = step_of(large, labelled, [0], progress=progress)
        for name, then in zip(("large", "labelled"), starts, strict=True):
            seen = step.seen[name]
            step.seen[name] = replace(seen, start=Outputs(then, {}))
        loss = made.terms(step)["kept"]
        now, then = (
            np.concatenate([x.detach().numpy()[:, :2] for x in each]).astype(np.float64)
            for each in ((large[0], labelled[0]), starts)
        )
        lengths = np.linalg.norm(now, axis=1, keepdims=True)
        unit = now / lengths
        gap = unit - then / np.linalg.norm(then, axis=1, keepdims=True)
        assert loss.item() == pytest.approx(float(weight) * (gap**2).mean(), rel=1e-5)
        outer = 2 * float(weight) * gap / gap.size
        expected = (outer - unit * (outer * unit).sum(1, keepdims=True)) / lengths
        found = torch.autograd.grad(loss, (large[0], labelled[0]))
        np.testing.assert_allclose(torch.cat(found)[:, :2], expected, rtol=1e-4, atol=1e-7)
    assert "kept" not in made.terms(replace(step, progress=0.2))
    assert "kept" not in promptcal().terms(step)


def test_the_start_is_that_of_each_task_and_comes_back(small, stream_of):
    """A learner that goes on inside a task has the same frozen network, and the same next loss."""
    words = ("method=promptcal", "objective.kept_for=0.9", "scenario.classes=4", "scenario.tasks=2")
    config = small(*words, "batch.unlabelled=32", "objective.bank=64")
    stream, _ = stream_of(config)
    learner = Learner(config)
    for task in stream.experiences:
        learner.begin(task, stream.images)
        begun = [x.clone() for x in learner.networks.start.parameters()]
        assert all(map(torch.equal, begun, learner.network.parameters()))
        for iteration in range(2):
            loss, terms = learner.loss(learner.forward(learner.batch(0, iteration)))
            assert terms["kept"] > 0  # batch statistics here, running ones there
            learner.backward(loss)
            learner.update()
        assert all(map(torch.equal, begun, learner.networks.start.parameters()))
        if task.index == 0:
            learner.end()
    again = Learner(config)
    again.restore(learner.state(), task, stream.images, step=2)
    losses = [each.loss(each.forward(each.batch(0, 2)))[1]["kept"] for each in (learner, again)]
    assert losses[0] == losses[1] > 0
    learner.step_in_task = learner.epochs * learner.steps_per_epoch - 1
    late = learner.forward(learner.batch(0, 2))
    assert all(seen.start is None for seen in late.seen.values())


def test_one_weight_for_both_ends_is_refused():
    with pytest.raises(InputError, match="expected two numbers"):
        promptcal(kept_weight=[0.5])
