"""Provide Diff-Instruct (distillation by the integral KL divergence) and DMD2, which builds on it."""

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
    register(
        "dmd2",
        "dlmone.plugins.diff_instruct.objective:DMD2",
        options="dlmone.plugins.diff_instruct.options:DMD2Options",
        help="DMD2: Diff-Instruct over mean|e − ê_φ|, at times of its own for θ",
    )
