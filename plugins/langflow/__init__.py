"""LangFlow (arXiv 2604.11748): continuous diffusion over normalised word embeddings, by cross-entropy."""
