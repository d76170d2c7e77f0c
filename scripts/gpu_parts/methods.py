"""Every method, two tasks: the same losses as on a CPU, and steps that wait for nothing.

And one method in each further precision, against the CPU's float32.
"""

import torch

from gpu_parts.common import Found, apart
from gpu_parts.functions import no_waits

SMALL = (
    "scenario.classes=6",
    "scenario.tasks=3",
    "optim.epochs=1",
    "batch.unlabelled=48",
    "display=quiet",
)


def check(device: str, quick: bool) -> Found:
    """Each method of ``conf/method`` that is no baseline."""
    from contsemi import compose
    from contsemi.compose import resources

    baselines = {path.stem for path in (resources.conf() / "baseline").glob("*.yaml")}
    names = sorted(path.stem for path in (resources.conf() / "method").glob("*.yaml"))
    names = [name for name in names if name not in baselines]
    for name in ["contsemi", "nncsl"] if quick else names:
        try:
            width = [] if name == "pixel_knn" else ["model.width=8"]
            words = [f"method={name}", "precision=fp32", *SMALL, *width]
            expected = steps(compose.load([*words, "device=cpu"]))
            found = steps(compose.load([*words, f"device={device}"]))
        except Exception as error:
            yield name, False, f"{type(error).__name__}: {str(error).splitlines()[0][:150]}", {}
            continue
        difference = apart(found, expected)
        yield name, difference <= 1e-3, "no wait", {"largest difference": difference}
    words = ["method=contsemi", "model.width=8", *SMALL]
    expected = steps(compose.load([*words, "device=cpu", "precision=fp32"]))[:3]
    for precision in ("tf32", "bf16", "fp16"):
        found = steps(compose.load([*words, f"device={device}", f"precision={precision}"]))[:3]
        difference = apart(found, expected)
        yield f"losses in {precision}", difference <= 5e-2, "", {"largest difference": difference}


def steps(config: object) -> list[torch.Tensor]:
    """Losses of three steps in each of two tasks, and what is predicted then."""
    from contsemi import data
    from contsemi.data.scenario import build
    from contsemi.labels import LabelBudget
    from contsemi.learner.learner import Learner

    train, test = data.load(config.data, config.scenario.dataset)  # type: ignore[attr-defined]
    budget = LabelBudget.parse(config.label_ratio)  # type: ignore[attr-defined]
    stream = build(config.scenario, budget, train, test, 0)  # type: ignore[attr-defined]
    learner = Learner(config)  # type: ignore[arg-type]
    losses = []
    for experience in stream.experiences[:2]:
        learner.begin(experience, stream.images)
        for step in range(3 if learner.needs.trains else 0):
            # what is made once a task (tables on the device) may be waited for in its first step
            waits = not step or learner.precision == torch.float16  # to know what it can hold
            with no_waits("cpu" if waits else str(learner.device)):
                batch = learner.batch(*divmod(step, learner.steps_per_epoch))
                loss, _ = learner.loss(learner.forward(batch))
                learner.backward(loss)
                learner.update()
            losses.append(loss.detach())
        learner.end()
    return [*losses, learner.predict(test.images[:50])]
