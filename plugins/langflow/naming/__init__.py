"""Name the tokens of a sequence together, from a network's logits and what the data have side by side."""
