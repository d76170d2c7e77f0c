"""CCIC against the arrays of its code."""

from dataclasses import replace

import torch
from replayed import VIEWS, Data, a_step, close, experience, of, over, said

from contsemi.objectives.ccic import Ccic
from contsemi.types import Outputs, Seen


def ccic(data):
    return Ccic(
        **VIEWS,
        guesses=3,
        temperature=0.5,
        alpha=0.75,
        memory_weight=1.0,
        hardest=data["k"],
        margin=data.get("margin", 1.0),
        soft=bool(data.get("soft_margin", 0)),
        until=0.9,
        neighbours=data["k"],
    )


@over("ccic_triplet*", "embeddings", 4)
def test_triplets_of_ccic(path):
    data = Data(path)
    rows = data.leaf("embeddings")
    seen = {"labelled": of(Outputs(rows, {}))}
    objective = ccic(data)
    objective.begin(experience(9))
    terms = objective.terms(a_step(seen, 0, 9, labels=data["labels"]))
    (grad,) = torch.autograd.grad(terms["triplets"], rows)
    if "triplet_is_none" in data:
        assert terms["triplets"] == 0 and not grad.any()
    else:
        close(terms["triplets"], data["triplet_loss"])
        close(grad, data["triplet_grad"])


def test_ccic_as_released_averages_copies_of_different_images():
    """Copies a1 a2 b1 b2 read as a1 b1 a2 b2; squares of logits; no mixing of targets."""
    draw = torch.Generator().manual_seed(0)
    copies = torch.rand(4, 3, generator=draw).double()  # a1 b1 a2 b2, two copies of two images
    logits = torch.randn(7, 3, generator=draw).double().requires_grad_()
    labels, stored = torch.tensor([0, 2, 1]), torch.tensor([False, True, False])
    mixed = Seen(
        student=said(classifier=logits), share=0.6, partners=torch.tensor([3, 0, 1, 2, 6, 5, 4])
    )
    seen = {"weak": of(said(classifier=copies)), "mixed": mixed}
    step = a_step(seen, 2, 3, labels=labels)
    values = {"temperature": 0.5, "guesses": 2, "memory_weight": 0.5, "as_released": True}
    objective = replace(ccic({"k": 2}), **values)
    objective.begin(replace(experience(3), labelled=step.labelled_ids[~stored]))
    terms = objective.terms(step)
    a1, b1, a2, b2 = copies
    means = torch.stack([(a1 + b1) / 2, (a2 + b2) / 2]) ** 2
    guesses = means / means.sum(dim=1, keepdim=True)
    rows = -logits[:3].log_softmax(dim=1)[range(3), labels]
    close(terms["labels"], ((rows[0] + rows[2]) / 2 + 0.5 * rows[1]).detach())
    apart = (logits[3:] - torch.cat([guesses, guesses])).square().mean()
    close(terms["guesses"], apart.detach() / 3)


@over("ccic_triplet*", "negative_only_loss", 4)
def test_distance_from_the_memory_of_ccic(path):
    data = Data(path)
    rows, stored = data.leaf("embeddings"), data["is_memory"] > 0
    seen = {
        "labelled": of(Outputs(rows[stored], {})),
        "between": of(Outputs(rows[stored], {})),
        "apart": of(Outputs(rows[~stored], {})),
    }
    step = a_step(
        seen,
        int((~stored).sum()),
        9,
        labels=data["labels"][stored],
        num_old=5,
    )
    objective = ccic(data)
    objective.begin(experience(9))  # none of the labelled images is of this task
    loss = objective.terms(step)["apart"]
    loss.backward()
    close(loss, data["negative_only_loss"])
    close(rows.grad, data["negative_only_grad"])


@over("ccic_knn*", "memory", 2)
def test_predictions_of_ccic(path):
    data = Data(path)
    objective = ccic(data)
    seen = data["classes_per_task"] * data["tasks_seen"]
    objective.begin(experience(seen))
    scores = objective.predict(
        Outputs(data["features"], {}), (Outputs(data["memory"], {}), data["memory_labels"])
    )
    close(scores, data["scores"][:, :seen])
    assert torch.equal(scores.argmax(1), data["prediction"])
