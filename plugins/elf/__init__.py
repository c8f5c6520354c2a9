"""ELF (arXiv 2605.10938): a flow over the states of a frozen T5 encoder, which its network also decodes."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register

_HERE = "dlmone.plugins.elf"


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "elf",
        f"{_HERE}.teacher:ElfTeacher",
        options=f"{_HERE}.options:ElfOptions",
        help="ELF: a flow over the states of a frozen T5 encoder, with or without a condition",
    )


@hookimpl
def register_samplers(register: Register) -> None:
    register(
        "elf",
        f"{_HERE}.samplers:ElfSampler",
        options=f"{_HERE}.options:SamplerOptions",
        help="ELF's samplers: Euler steps (ode), or with fresh noise in between (sde); tokens by a call",
    )


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "elf_progressive",
        f"{_HERE}.training.progressive:Progressive",
        options=f"{_HERE}.training.options:ProgressiveOptions",
        help="ELF's progressive distillation: one step of θ for several Euler steps of φ, without ψ",
    )
    register(
        "elf_decoder",
        f"{_HERE}.training.progressive:Decoder",
        options=f"{_HERE}.training.options:DecoderOptions",
        help="cross-entropy of ELF's decoding mode, so that a student goes on reading tokens from states",
    )


@hookimpl
def register_converters(register: Register) -> None:
    register(
        "elf",
        f"{_HERE}.convert:convert",
        help="an official ELF checkpoint, teacher or student: a folder (checkpoint_*) or one of the hub",
    )
