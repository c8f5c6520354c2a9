"""Samplers that work with any teacher: they know its schedule and its space, nothing else."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_samplers(register: Register) -> None:
    register(
        "ddim",
        f"{__name__}.ddim:DDIM",
        options=f"{__name__}.options:DDIMOptions",
        help="DDIM for any noise schedule; eta = 1 is ancestral (DDPM) sampling",
    )
