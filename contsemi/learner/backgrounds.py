"""The backgrounds that views of a task may take: those of its own images."""

import torch

from contsemi.config import Config
from contsemi.errors import InputError
from contsemi.seeding import generator
from contsemi.stores.store import ImageStore
from contsemi.types import Experience
from contsemi.views.background import Donors

MOST = 512  # images whose backgrounds are held; they live on the device


def donors(config: Config, experience: Experience, images: ImageStore) -> Donors | None:
    """Backgrounds of images of the task's pool, drawn by the run's seed; none of an earlier task.

    Args:
        config: the run.
        experience: the task.
        images: with a fourth channel, the mask, where a background changes.

    Returns:
        ``None`` where no policy puts other backgrounds in place.

    Raises:
        InputError: a policy changes backgrounds, and the images have no masks.
    """
    policies = config.views.policies.items()
    changing = {name: crop.background for name, crop in policies if crop.background != "none"}
    if changing and images.channels == 3:
        key = f"views.policies.{next(iter(changing))}.background"
        problem = "the images of this stream have no masks"
        raise InputError(key, problem, "use none; runs of contsemi.run make masks")
    if not {"random", "swap"} & set(changing.values()):
        return None
    draw = generator(config.seed, "donors", experience.index)
    chosen = torch.randperm(len(experience.unlabelled), generator=draw)[:MOST]
    rows = images.take(experience.unlabelled[chosen])
    return Donors(rows[:, :3], rows[:, 3])
