"""Provide score distillation sampling: pull θ's output to the teacher's prediction after noising it."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "sds",
        "dlmone.plugins.sds.objective:ScoreDistillationSampling",
        options="dlmone.plugins.sds.options:SDSOptions",
        help="score distillation sampling: ½‖e − sg(f_φ)‖², mode-seeking, without ψ",
    )
