"""BYOL: solo-learn's loss and moving average, the class means, and who takes a gradient."""

import numpy as np
import pytest
import torch

from contsemi.errors import InputError
from contsemi.learner.schedules import cosine
from contsemi.losses.regression import class_means, swapped_regression
from contsemi.models.ema import Ema
from contsemi.objectives.byol import Byol

OPTIONS = {
    "teacher": [0.9, 1.0],
    "smoothing": 0.0,
    "large_views": 2,
    "small_views": 0,
    "labelled_views": 2,
    "supports_per_class": 3,
}


def test_the_loss_equals_solo_learn(arrays, outputs, make_step):
    at = arrays("byol")
    prediction = torch.from_numpy(at["prediction"]).requires_grad_()
    step = make_step(
        large=outputs(predictor=np.ones_like(at["target"])),
        small=outputs(predictor=prediction),
        teacher=outputs(projector=at["target"]),
        batch_size=len(prediction),
    )
    loss = Byol(**OPTIONS).terms(step)["regression"]
    loss.backward()
    np.testing.assert_allclose(loss.item(), at["loss"], rtol=1e-6)
    np.testing.assert_allclose(prediction.grad, at["grad_prediction"], atol=1e-6)


class _Net(torch.nn.Module):
    def __init__(self, values):
        super().__init__()
        self.weight = torch.nn.Parameter(values.clone())

    def after_step(self):
        pass


def test_the_slow_network_equals_solo_learn(arrays):
    at = arrays("byol")
    history, momenta = at["ema_history"], at["ema_tau_after_step"]
    total = len(momenta)
    ours = [cosine(i, total_steps=total, start=0.99, end=1.0) for i in range(total)]
    np.testing.assert_allclose(ours, momenta, rtol=1e-12)
    ema = Ema(_Net(torch.from_numpy(history[0])), 0.0)
    online = _Net(torch.from_numpy(at["ema_online"]))
    # solo-learn uses each momentum one step late; the arithmetic is the same.
    for ema.momentum, expected in zip([ours[0], *ours], history[1:], strict=False):
        ema.update(online)
        np.testing.assert_allclose(ema.network.weight.detach(), expected, rtol=1e-6, atol=1e-7)


def test_labelled_images_predict_the_mean_of_their_class(whole_step):
    step = whole_step(0, 6, classes=3)
    loss = Byol(**OPTIONS).terms(step)["regression"]
    rows = torch.nn.functional.normalize(step.teacher("labelled")["projector"], dim=1)
    queries = torch.nn.functional.normalize(step.student("labelled")["predictor"], dim=1)
    labels = step.labels.repeat(2)
    distances = 2 - 2 * queries @ rows.T
    of_class = torch.stack([distances[i, labels == label].mean() for i, label in enumerate(labels)])
    torch.testing.assert_close(loss, of_class.mean())


def test_all_images_count_once(whole_step):
    step = whole_step(6, 4, small=1)
    loss = Byol(**OPTIONS).terms(step)["regression"]
    unit = torch.nn.functional.normalize
    own = unit(step.teacher("large")["projector"], dim=1)
    views = torch.cat([step.student("large")["predictor"], step.student("small")["predictor"]])
    first = swapped_regression(views, own, batch_size=6)
    means = class_means(unit(step.teacher("labelled")["projector"], dim=1), step.labels.repeat(2))
    second = swapped_regression(step.student("labelled")["predictor"], means, batch_size=4)
    torch.testing.assert_close(loss, 0.6 * first + 0.4 * second)


def test_agreement_is_zero_and_opposition_four(outputs, make_step, random):
    rows = random(8, 5).view(1, 8, 5).repeat(2, 1, 1).flatten(0, 1)
    for sign, expected in ((1, 0.0), (-1, 4.0)):
        step = make_step(
            large=outputs(predictor=sign * 3 * rows),
            teacher=outputs(projector=rows),
            batch_size=8,
        )
        loss = Byol(**OPTIONS).terms(step)["regression"]
        torch.testing.assert_close(loss, torch.tensor(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", [{"large_views": 1}, {"labelled_views": 1}])
def test_a_view_alone_is_refused(change):
    with pytest.raises(InputError, match="one view"):
        Byol(**OPTIONS | change)
