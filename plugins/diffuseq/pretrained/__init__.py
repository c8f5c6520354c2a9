"""Weights from elsewhere: official DiffuSeq checkpoints, and BERT-type encoders to start from."""
