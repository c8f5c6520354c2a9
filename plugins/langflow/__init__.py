"""LangFlow (arXiv 2604.11748): continuous diffusion over normalised word embeddings, by cross-entropy."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register

_HERE = "dlmone.plugins.langflow"


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "langflow",
        f"{_HERE}.teacher:LangFlowTeacher",
        options=f"{_HERE}.options:LangFlowOptions",
        help="LangFlow: cross-entropy diffusion over normalised word embeddings, with or without a condition",
    )


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "sequence_level",
        f"{_HERE}.sequence:SequenceDistillation",
        options=f"{_HERE}.options:SequenceOptions",
        help="−log p_θ(y), y the text that a LangFlow teacher makes of the same noise, or the reference",
    )


@hookimpl
def register_samplers(register: Register) -> None:
    register(
        "langflow",
        f"{_HERE}.samplers:LangFlowSampler",
        options=f"{_HERE}.options:SamplerOptions",
        help="LangFlow's sampler: DDIM down the quantiles of the noise level, tokens by their logits",
    )


@hookimpl
def register_converters(register: Register) -> None:
    register(
        "langflow",
        f"{_HERE}.convert:convert",
        help="an official LangFlow checkpoint: a folder (config.json, model.safetensors) or one of the hub",
    )
