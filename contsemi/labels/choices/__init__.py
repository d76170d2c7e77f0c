"""Which images of a task get their label, by how they lie in an embedding: one policy a file."""
