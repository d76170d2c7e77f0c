"""Which scores decide: one file a way, ``predict=NAME``."""
