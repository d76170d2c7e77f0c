"""Which images get their label: one file a policy, ``labels=NAME``."""
