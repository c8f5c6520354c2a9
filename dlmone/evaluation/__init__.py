"""Evaluation: scores with signatures, intervals, selection, and the final table of a run."""
