"""What a run would reach if it knew the truth: where accuracy is lost, in points.

The evaluator knows the labels that the budget hides and has every training image at hand. When the
last step of a task is over it works out the class moments that the run is about to keep, and beside
them those that it would keep with one thing true: the labels of each pool, the map that carries
moments along, the means, the covariance. Statistics are those of *training* images; those of test
images would be fitted to what is asked. Nothing of it flows back: training is the same to the bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from contsemi.data.scenario import Stream
from contsemi.errors import StateDamaged
from contsemi.learner.inference import Inference
from contsemi.learner.loop import Hooks, Loop
from contsemi.memory.moments import Moments
from contsemi.metrics.accuracy import accuracy_rows
from contsemi.predictors.moments import ClassMoments
from contsemi.predictors.predictor import Material
from contsemi.storage.atomic import make_folder, storage, write_atomically
from contsemi.stores.store import Images

FOLDER = "truth"
CHAINS = ("with_labels", "with_drift", "with_labels_and_drift")
FIELDS = ("means", "covariance", "counts")


class Truth(Hooks):
    """Measures after each task how the headline would stand with the truth in one place.

    Args:
        stream: the tasks.
        hidden: int64 [N], true column of each training image; -1 for none.
        test_images: uint8 [M, 3, S, S], or a store.
        folder: of the run, where the moments of the other courses are kept between tasks.
        record: is given the task and the mean accuracy over its tasks so far, by name.
    """

    def __init__(
        self,
        stream: Stream,
        hidden: Tensor,
        test_images: Images,
        folder: Path,
        record: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self.stream, self.hidden, self.test_images = stream, hidden, test_images
        self.folder, self.record = folder / FOLDER, record

    @torch.no_grad()
    def after_training_exp(self, loop: Loop) -> None:
        """Works out every course of the moments, asks the test images, and writes it down."""
        inference, task = loop.learner.inference, loop.task
        head = inference.decides
        assert isinstance(head, ClassMoments)
        kept = self._load(task - 1, loop.learner.device) if task else {}
        courses = self._courses(inference, head, kept, task)
        self._save({name: courses[name] for name in CHAINS}, task)
        self.record(task, self._accuracies(inference, head, courses, task))

    def _courses(
        self,
        inference: Inference,
        head: ClassMoments,
        kept: Mapping[str, Moments],
        task: int,
    ) -> dict[str, Moments]:
        """The moments after a task, by what of them is true."""
        material = head.as_taken(inference.material())
        given = functional.one_hot(material.labels, inference.num_seen)
        features = torch.cat([material.features, material.labelled])
        soft = torch.cat([head.soft_classes(material), given])
        true = torch.cat([self._true_classes(material, inference.num_seen), given])
        old, moved = self._earlier(inference, head, task)
        by_truth = material if moved is None else replace(material, moved=moved)

        def course(before: Moments | None, by: Material, probs: Tensor) -> Moments:
            carried = None if before is None else head.carried(before, by)
            return head.joined(carried, features, probs)

        as_it_is = course(head.kept, material, soft)
        all_true = course(old, replace(material, moved=None), true)
        return {
            "as_it_is": as_it_is,
            "with_labels": course(kept.get("with_labels"), material, true),
            "with_drift": course(kept.get("with_drift"), by_truth, soft),
            "with_labels_and_drift": course(kept.get("with_labels_and_drift"), by_truth, true),
            "with_means": replace(as_it_is, means=all_true.means),
            "with_covariance": replace(as_it_is, covariance=all_true.covariance),
            "with_statistics": all_true,
        }

    def _true_classes(self, material: Material, num_seen: int) -> Tensor:
        """[n, C]: the true class of each unlabelled image; zeros where its label is known."""
        return _one_hot(self.hidden[material.ids.cpu()], num_seen).to(material.probs.device) * (
            ~material.known[:, None]
        )

    def _earlier(
        self, inference: Inference, head: ClassMoments, task: int
    ) -> tuple[Moments | None, tuple[Tensor, Tensor, Tensor] | None]:
        """Earlier tasks' training images: their true moments now, and how they have moved."""
        ids = _images(self.stream, task)
        if not len(ids):
            return None, None
        new = self._embedded(inference, head, "predicting", ids)
        probs = _one_hot(self.hidden[ids], inference.num_seen).to(new.device)
        moments = head.joined(None, new, probs)
        if not inference.networks.pasts:
            return moments, None
        old = self._embedded(inference, head, "past", ids)
        return moments, (old, new, torch.ones(len(ids), device=new.device))

    def _embedded(
        self, inference: Inference, head: ClassMoments, network: str, ids: Tensor
    ) -> Tensor:
        by = inference.networks.by_name(network)
        return head.rows(inference.embed(by, self.stream.images, (), ids).features)

    def _accuracies(
        self,
        inference: Inference,
        head: ClassMoments,
        courses: Mapping[str, Moments],
        task: int,
    ) -> dict[str, float]:
        """Mean over the tasks so far of the class-incremental accuracy, by course."""
        tasks = self.stream.test[: task + 1]
        ids = torch.cat([each.indices for each in tasks])
        targets = torch.cat([each.targets for each in tasks]).numpy()
        of_task = torch.cat([torch.full_like(x.indices, n) for n, x in enumerate(tasks)]).numpy()
        columns = [each.columns for each in tasks]
        features = head.rows(inference.look(self.test_images, ids).features)
        found = {}
        for name, moments in courses.items():
            scores = head.scores_by(moments, features).cpu().numpy()
            found[name] = float(accuracy_rows(scores, targets, of_task, columns=columns)[0].mean())
        return found

    def _path(self, task: int) -> Path:
        return self.folder / f"after_task_{task + 1:02d}.safetensors"

    def _save(self, courses: Mapping[str, Moments], task: int) -> None:
        with storage(self.folder):
            make_folder(self.folder)
        state = {
            f"{name}.{key}": value.cpu().contiguous()
            for name, moments in courses.items()
            for key, value in moments.state().items()
        }
        write_atomically(self._path(task), save(state))

    def _load(self, task: int, device: torch.device) -> dict[str, Moments]:
        path = self._path(task)
        try:
            state = load_file(path)
            return {
                name: Moments(**{key: state[f"{name}.{key}"].to(device) for key in FIELDS})
                for name in CHAINS
            }
        except (OSError, KeyError, SafetensorError) as error:
            problem = f"{path}: {error}; resume=never trains anew, or set evaluate.truth=false"
            raise StateDamaged(problem) from error


def _images(stream: Stream, tasks: int) -> Tensor:
    """int64, the training images of the first so many tasks, each once."""
    found = [each.unlabelled for each in stream.experiences[:tasks]]
    found += [each.labelled for each in stream.experiences[:tasks]]
    return torch.unique(torch.cat(found)) if found else torch.empty(0, dtype=torch.int64)


def _one_hot(columns: Tensor, num_seen: int) -> Tensor:
    """[n, C]; zeros for a class that has not come."""
    known = (columns >= 0) & (columns < num_seen)
    return functional.one_hot(columns.where(known, 0), num_seen) * known[:, None]
