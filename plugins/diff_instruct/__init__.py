"""Diff-Instruct: the integral KL divergence as the distillation objective."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "diff_instruct",
        "dlmone.plugins.diff_instruct.objective:DiffInstruct",
        options="dlmone.plugins.diff_instruct.options:DiffInstructOptions",
        help="Diff-Instruct: sg(ê_ψ − ê_φ)ᵀe, no gradient through either network",
    )
