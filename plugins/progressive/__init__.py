"""Progressive distillation: θ learns to take two sampling steps of its former self in one."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "progressive",
        "dlmone.plugins.progressive.objective:Progressive",
        options="dlmone.plugins.progressive.options:ProgressiveOptions",
        help="progressive distillation: one step of θ for two DDIM steps of θ as its stage began, without ψ",
    )
