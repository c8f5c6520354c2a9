"""LangFlow's networks: its own blocks or a BERT-type encoder, from states to logits."""
