"""One run from its configuration to its files: images, stream, learner, tasks, records."""

from contsemi.pipeline.opening import run

__all__ = ["run"]
