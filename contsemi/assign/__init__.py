"""Pure functions from scores to soft classes."""
