"""MSF against several steps of the official code, and as BYOL in its limit cases."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from contsemi.errors import InputError
from contsemi.objectives.byol import Byol
from contsemi.objectives.msf import Msf

VIEWS = {
    "teacher": [0.9, 1.0],
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
    "supports_per_class": 3,
}
OPTIONS = VIEWS | {"neighbours": 5, "bank": 64, "current_only": True}


def test_all_steps_equal_the_official_code(arrays, outputs, make_step):
    at = arrays("msf")
    number, size = int(at["topk"]), len(at["queue_initial"])
    objective = Msf(**OPTIONS | {"neighbours": number, "bank": size})
    objective.stored.push(torch.from_numpy(at["queue_initial"]), labels=torch.full((size,), -1))
    true_labels = np.full(size, -1)
    for i, (query, target) in enumerate(zip(at["query"], at["target"], strict=True)):
        query = torch.from_numpy(query).requires_grad_()
        step = make_step(
            large=outputs(predictor=np.ones_like(target)),
            small=outputs(predictor=query),
            teacher=outputs(projector=target),
            batch_size=len(target),
        )
        loss = objective.terms(step)["shift"]
        loss.backward()
        np.testing.assert_allclose(loss.item(), at["loss"][i], rtol=1e-5)
        np.testing.assert_allclose(query.grad, at["grad_query"][i], atol=1e-6)
        true_labels[(len(target) * i + np.arange(len(target))) % size] = at["labels"][i]
        unit = functional.normalize(torch.from_numpy(target), dim=1)
        near = objective.stored.search(unit, number).index
        purity = (true_labels[near] == at["labels"][i][:, None]).mean()
        np.testing.assert_allclose(purity, at["purity"][i], rtol=1e-6)
    np.testing.assert_allclose(objective.stored.rows, at["queue_final"], atol=1e-6)
    assert objective.stored.pointer.item() % size == at["queue_ptr"]


def test_with_one_neighbour_it_is_byol(whole_step):
    msf, byol = Msf(**OPTIONS | {"neighbours": 1}), Byol(**VIEWS)
    for seed in range(4):
        step = whole_step(6, small=1, seed=seed)
        assert torch.equal(msf.terms(step)["shift"], byol.terms(step)["regression"])


def test_a_queue_of_copies_of_the_target_gives_byol(outputs, make_step, random):
    rows = functional.normalize(random(1, 5), dim=1)
    step = make_step(
        large=outputs(predictor=random(2, 5, seed=1)),
        teacher=outputs(projector=rows.repeat(2, 1)),
        batch_size=1,
    )
    msf = Msf(**OPTIONS)
    msf.stored.push(rows.repeat(20, 1), labels=torch.full((20,), -1))
    torch.testing.assert_close(msf.terms(step)["shift"], Byol(**VIEWS).terms(step)["regression"])


def test_labelled_images_are_no_neighbours_across_classes(whole_step):
    """All of the other class lie nearer, and none of them is taken."""
    step = whole_step(0, 4, classes=2)
    rows = torch.tensor(
        [[1.0, 0, 0, 0, 0], [1, 0.1, 0, 0, 0], [-1, 0, 0, 0, 0], [-1, 0.1, 0, 0, 0]]
    )
    step.teacher("labelled").heads["projector"].copy_(rows.repeat(2, 1))
    objective = Msf(**OPTIONS | {"neighbours": 3})
    objective.terms(step)
    unit = functional.normalize(rows, dim=1)
    # Labels 0, 1, 0, 1: each image's class lies on the other side.
    expected = torch.stack([(2 * unit[i] + unit[(i + 2) % 4]) / 3 for i in range(4)])
    allow = (objective.stored["labels"] == step.labels[:, None]) & objective.stored.filled
    torch.testing.assert_close(objective.stored.shifted(unit, 3, allow), expected)
    predictions = functional.normalize(step.student("labelled")["predictor"], dim=1)
    mean = (2 - 2 * (predictions * expected.repeat(2, 1)).sum(1)).mean()
    fresh = Msf(**OPTIONS | {"neighbours": 3}).terms(step)["shift"]
    torch.testing.assert_close(fresh, mean)


def test_the_queue_is_emptied_between_tasks_or_not(whole_step, stream_of, small):
    experience = stream_of(small())[0].experiences[1]
    for current_only in (True, False):
        objective = Msf(**OPTIONS | {"current_only": current_only})
        objective.terms(whole_step(6))
        objective.begin(experience)
        assert bool(objective.stored.filled.any()) is not current_only


@pytest.mark.parametrize("change", [{"large_views": 1}, {"labelled_views": 1}])
def test_a_view_alone_is_refused(change):
    with pytest.raises(InputError, match="one view"):
        Msf(**OPTIONS | change)
