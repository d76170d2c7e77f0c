"""A model is taught photos of the next classes, a lesson at a time."""
