"""Name the tokens of a sequence together, from a network's logits and the pairs that the data have."""
