"""From a batch to a step, from a task to its memory: networks, views, the one training loop.

A :class:`~.learner.Learner` has ``networks``, and an ``inference`` that says what images are of. A
step is made by ``task`` (which rows), ``viewing`` (their views), ``seeing`` (who sees which). What
looks at a whole task takes its ``pool``, not the learner.
"""
