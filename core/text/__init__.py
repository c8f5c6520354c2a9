"""Texts before and after the network: data, tokenizers, samples and how they are scored and selected."""
