"""The official codes' arrays as steps, for objectives and distillers."""

import numpy as np
import torch

from contsemi.types import Outputs


def load_arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {
            name: str(value) if value.dtype.kind == "U" else torch.from_numpy(np.asarray(value))
            for name, value in file.items()
        }


def heads_only(**heads):
    first = next(iter(heads.values()))
    return Outputs(first[:, :0], heads)


def close_to_official(found, expected, name=""):
    """Values to 1e-6 of the greatest in float64 and 1e-5 in float32, as the arrays are kept."""
    expected = np.asarray(expected)
    rtol = 1e-6 if expected.dtype == np.float64 else 1e-5
    atol = max(rtol * np.abs(expected).max(initial=0), 1e-12)
    np.testing.assert_allclose(found.detach(), expected, rtol=rtol, atol=atol, err_msg=name)


class NncslBlock:
    """One training step of NNCSL: leaves h, logits and h_proj, and the step that they make."""

    def __init__(self, path, make_step):
        self.data = data = load_arrays(path)
        for leaf in ("h", "logits", "h_proj"):
            data[leaf].requires_grad_()
        supports, batch = int(data["num_support"]), int(data["batch"])
        self.old = int(data["classes_per_task"] * data["task_idx"])
        self.seen = int(data["num_seen"])
        bounds = (slice(supports), slice(supports, supports + 2 * batch))
        bounds = (*bounds, slice(supports + 2 * batch, None))

        def parts(**heads):
            made = [heads_only(**{k: v[rows] for k, v in heads.items()}) for rows in bounds]
            return [each if len(each) else None for each in made]

        labelled, large, small = parts(
            projector=data["h"], mapped=data["h_proj"], classifier=data["logits"][:, : self.seen]
        )
        names = ("labelled", "large", "small")
        past = dict(zip(names, parts(projector=data["h_prev"]), strict=True)) if self.old else None
        self.step = make_step(
            labelled=labelled,
            labels=data["support_labels"][: supports // 2],  # those of one of the two views
            large=large,
            small=small,
            past=past,
            num_old=self.old,
            num_seen=self.seen,
            batch_size=batch,
        )
        self.options = {
            "temperature": float(data["tau"]),
            "sharpening": float(data["T"]),
            "smoothing": float(data["smoothing"]),
            "large_views": 2,
            "small_views": int(data["multicrop"]),
            "labelled_views": 2,
            "supports_per_class": int(data["imgs_per_class"]),
            "predict_by": "classifier",
        }

    def gradient(self, term, leaf):
        """Zeros where the term does not depend on the leaf."""
        (found,) = torch.autograd.grad(
            term, self.data[leaf], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return found

    def check_objective(self, terms):
        """The three terms of PAWS or CSL and their gradients."""
        for term, value, leaf, gradient in (
            ("consistency", "paws_loss", "h", "grad_h_paws"),
            ("me_max", "me_max", "h", "grad_h_me_max"),
            ("classifier", "online_ce", "logits", "grad_logits_online"),
        ):
            close_to_official(terms[term], self.data[value], term)
            close_to_official(self.gradient(terms[term], leaf), self.data[gradient], gradient)
