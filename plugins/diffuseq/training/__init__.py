"""Training a DiffuSeq teacher: its loss, the training times, and batches with little padding."""
