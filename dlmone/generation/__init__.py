"""Inference: texts in, candidates out, in batches, into a file that can be resumed."""
