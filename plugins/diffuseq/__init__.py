"""DiffuSeq (Gong et al., 2023): the teacher of DLM-One, its samplers, and its official checkpoints."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register

_HERE = "dlmone.plugins.diffuseq"


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "diffuseq",
        f"{_HERE}.teacher:DiffuSeqTeacher",
        options=f"{_HERE}.options:DiffuSeqOptions",
        help="DiffuSeq: diffusion over word embeddings with a BERT encoder",
    )


@hookimpl
def register_samplers(register: Register) -> None:
    register(
        "diffuseq_ddpm",
        f"{_HERE}.samplers:DiffuSeqDDPM",
        options=f"{_HERE}.options:DDPMOptions",
        help="DiffuSeq's ancestral sampler: every step of the chain, rounding to embeddings",
    )
    register(
        "diffuseq_ddim",
        f"{_HERE}.samplers:DiffuSeqDDIM",
        options=f"{_HERE}.options:SamplerOptions",
        help="DiffuSeq's own DDIM, index quirks included, rounding to embeddings",
    )


@hookimpl
def register_converters(register: Register) -> None:
    register(
        "diffuseq",
        f"{_HERE}.pretrained.convert:convert",
        help="an official DiffuSeq checkpoint folder (ema_*.pt, training_args.json)",
    )


@hookimpl
def register_sample_readers(register: Register) -> None:
    register(
        "diffuseq",
        f"{_HERE}.outputs:DiffuSeqReader",
        help="outputs of DiffuSeq's sampling script (seed*_step*.json)",
    )
