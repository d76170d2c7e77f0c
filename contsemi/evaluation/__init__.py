"""What the evaluator asks of anything that predicts, and what it finds."""
