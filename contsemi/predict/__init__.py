"""What photos are of, as a run or a model says it."""
