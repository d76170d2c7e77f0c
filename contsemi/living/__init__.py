"""A model after its run: used, kept, and taught the next classes."""
