"""Provide causal language models of transformers: baselines, decoded with a KV cache, and scorers of text."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_generators(register: Register) -> None:
    register(
        "causal",
        f"{__name__}.models:LocalCausal",
        options=f"{__name__}.options:LocalOptions",
        help="a causal language model in a local folder (transformers)",
    )
    register(
        "gpt2",
        f"{__name__}.models:ShapeOfGPT2",
        options=f"{__name__}.options:GPT2Options",
        help="GPT-2's shape with random weights, for timing only: its outputs are noise",
    )


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "generative_perplexity",
        f"{__name__}.perplexity:PerplexityEvaluator",
        options=f"{__name__}.options:PerplexityOptions",
        help="perplexity under a causal language model, with and without repetition, and sample entropy",
    )
