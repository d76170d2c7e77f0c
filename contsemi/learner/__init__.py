"""The one training loop and what it needs: optimisers, precision, evaluation, checkpoints."""
