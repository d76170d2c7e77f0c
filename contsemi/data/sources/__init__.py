"""Where images lie, and how they become arrays."""
