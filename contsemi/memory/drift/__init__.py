"""Maps that carry stored embeddings into a new space: one file a map, ``memory.drift=NAME``."""
