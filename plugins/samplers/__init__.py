"""Samplers for any teacher or student: they use its schedule and space, nothing else."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_samplers(register: Register) -> None:
    register(
        "ddim",
        f"{__name__}.ddim:DDIM",
        options=f"{__name__}.options:DDIMOptions",
        help="DDIM for any noise schedule; eta = 1 is ancestral (DDPM) sampling",
        default=True,
    )
    register(
        "renoise",
        f"{__name__}.renoise:Renoise",
        options=f"{__name__}.options:RenoiseOptions",
        help="predict and re-noise in turn: few-step inference of students (Table 4)",
    )
    register(
        "repel",
        f"{__name__}.repel:Repel",
        options=f"{__name__}.options:RepelOptions",
        help="re-noising in which each candidate is pushed away from the earlier ones",
    )
