"""Which images of a class are worth keeping: one file a policy, ``memory.selection=NAME``."""
