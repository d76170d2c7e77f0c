"""A model to use: a run's last state behind the methods that scikit-learn knows."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from torch import Tensor

from contsemi import data
from contsemi.errors import InputError, MethodFailed, PackageMissing, article
from contsemi.learner.learner import Learner
from contsemi.learner.parts import from_state, known_features
from contsemi.living.photos import arrays
from contsemi.living.saved import Saved, read
from contsemi.predictors.gathered import Gathered
from contsemi.stores.choosing import plain
from contsemi.types import Experience

Floats = NDArray[np.float32]


def load(path: str | Path) -> "Model":
    """The model that a run, or ``python -m contsemi.learn``, has left in a folder.

    Raises:
        InputError: there is none.
        StateDamaged: it cannot be trusted.
    """
    if not isinstance(path, str | Path):
        problem = f"expected the path of a folder, got {article(type(path).__name__)}"
        raise InputError("load(path)", problem, "name a run, or a model of contsemi.learn")
    model = Model(path)
    _ = model.learner
    return model


class Model(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Says what photos are of; as a transformer it gives their features.

    Photos are names of files, or uint8 [N, 3, S, S] or [N, S, S, 3]. It is fitted already:
    ``fit`` changes nothing, so that it can be a step of a pipeline.

    Args:
        path: folder of a run, or of a model.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path

    @cached_property
    def saved(self) -> Saved:
        """What was read."""
        return read(Path(self.path).expanduser())

    @cached_property
    def learner(self) -> Learner:
        """The network and what was remembered, between two tasks."""
        return restored(self.saved)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of probabilities."""
        return self.saved.classes

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The same as scikit-learn has it."""
        return np.array(self.classes)

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Nothing: the model is fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}  # a copy reads the folder again

    def predict(self, X: Any) -> NDArray[np.str_]:
        """Name of the likeliest class of each photo [N]."""
        names: NDArray[np.str_] = self.classes_[self.predict_proba(X).argmax(1)]
        return names

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities [N, C], calibrated where labelled images were left out for that."""
        return _joined([self.answers(chunk)[0] for chunk in self._chunks(X)], len(self.classes))

    def features(self, X: Any) -> Floats:
        """Features [N, F] of the backbone."""
        width = self.learner.network.num_features
        found = [self.learner.inference.features(torch.from_numpy(x)) for x in self._chunks(X)]
        return _joined([each.float().cpu().numpy() for each in found], width)

    def transform(self, X: Any) -> Floats:
        """The same."""
        return self.features(X)

    def unknown(self, X: Any, share: float = 0.05) -> NDArray[np.bool_]:
        """Whether a photo is farther from every class than most photos of known ones are [N].

        Args:
            X: photos.
            share: of photos of known classes that may be called unknown.

        Raises:
            InputError: see :meth:`limit`.
        """
        limit = self.limit(share)
        found = [self.answers(chunk)[1] > limit for chunk in self._chunks(X)]
        return np.concatenate(found) if found else np.zeros(0, bool)

    @property
    def temperature(self) -> float:
        """By which scores are divided; 1 where nothing was left out to learn it from."""
        trust = getattr(self.learner.inference.decides, "trust", None)
        return 1.0 if trust is None else float(trust.temperature)

    @property
    def least_share(self) -> float:
        """The least share of images of known classes that :meth:`limit` can keep to."""
        return 1 / (len(self._strangeness()) + 1)

    def limit(self, share: float) -> float:
        """The strangeness that no more than this share of images of known classes exceeds.

        On average over what was left out; a share below :attr:`least_share` takes its strangest.

        Raises:
            InputError: it is no share, or the model has not learned how far known images are.
        """
        if not 0 < share < 1:
            raise InputError("--unknown", f"is {share}", "give a share between 0 and 1")
        known = self._strangeness().double().sort().values
        # Of one more image like these each rank is as likely: the conformal quantile.
        rank = math.ceil((len(known) + 1) * (1 - share) - 1e-9)
        return float(known[min(rank, len(known)) - 1])

    def _strangeness(self) -> Tensor:
        trust = getattr(self.learner.inference.decides, "trust", None)
        if trust is None or not len(trust.strangeness):
            problem = "this model has not learned how far images of known classes are"
            fix = (
                "leave it out; it is learned of two labels of a class, in runs that are trained "
                "with predict=moments predict.folds=4"
            )
            raise InputError("--unknown", problem, fix)
        strangeness: Tensor = trust.strangeness
        return strangeness

    def answers(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Of images uint8 [n, 3, S, S]: probabilities [n, C], and strangeness [n], NaN for none.

        Raises:
            MethodFailed: the predictor's scores are no numbers.
        """
        asked = self.learner.inference
        with torch.no_grad():
            outputs = asked.look(torch.from_numpy(images))
            probs = (asked.scores(outputs).float() / self.temperature).softmax(1)
            if probs.isnan().any():
                call, what = asked.decides.scores, "returned NaN in"
                raise MethodFailed.returned(call, probs, "numbers", what=what)
            far: Tensor | None = None
            if isinstance(asked.decides, Gathered):
                rows = asked.decides.rows(outputs.features)
                far = asked.decides.strangeness(asked.decides.statistics(asked), rows)
            far = torch.full((len(images),), torch.nan) if far is None else far
        return probs.cpu().numpy(), far.float().cpu().numpy()

    def _chunks(self, X: Any) -> Iterator[NDArray[np.uint8]]:
        return arrays(X, self.saved.side)


def restored(saved: Saved, *, keeps: bool = False) -> Learner:
    """A learner as it was between two tasks.

    Args:
        saved: the state.
        keeps: whether features of images are kept on the disk, as in a run.

    Raises:
        InputError, StateDamaged: the state does not fit this version, or needs images that are
            not there any more.
    """
    with _as_it_was():
        learner = Learner(from_state(saved.config))
    state = dict(saved.state)
    images = torch.zeros(0, 3, saved.side, saved.side, dtype=torch.uint8)
    kept = state.get("exemplars", {})
    if len(kept.get("labels", ())) and "images" not in kept:
        if learner.objective.needs.supports_at_test:
            with _as_it_was():
                found = data.load(saved.config.data, saved.config.scenario.dataset)[0].images
            pixels = plain(found, torch.device("cpu"))
            images = pixels.take(kept["ids"][:0])
            state["exemplars"] = kept | {"images": pixels.take(kept["ids"])}
        else:  # they decide nothing
            state["exemplars"] = {k: v[:0] for k, v in kept.items()} | {"images": images}
    elif "images" not in kept:
        state["exemplars"] = kept | {"images": images}
    nothing = torch.empty(0, dtype=torch.int64)
    seen = len(saved.classes)
    last = Experience(saved.tasks - 1, (), seen, seen, nothing, nothing, nothing)
    learner.restore(state, last, images, None, ("model", "use the version that wrote it"))
    given = (saved.config, learner.network, learner.device, learner.precision)
    known = known_features(*given) if keeps else None
    learner.inference.embed = replace(learner.inference.embed, known=known)
    return learner


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Who only reads a model gives none of the keys that it was made with.

    Raises:
        InputError: what it was made with is not there any more.
    """
    try:
        yield
    except PackageMissing:
        raise
    except InputError as error:
        fix = "use the version that wrote it, or put back what the model was made with"
        raise InputError(error.where, error.problem, fix) from None


def _joined(parts: list[Floats], width: int) -> Floats:
    return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
