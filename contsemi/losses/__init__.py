"""Pure functions from tensors to a scalar: what a network's outputs are asked to satisfy."""
