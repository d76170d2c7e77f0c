"""Nearest rows, nothing else."""
