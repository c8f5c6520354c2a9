"""Moment matching: the teacher and the student agree on the mean of the data, given a noisier state."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "moment_matching",
        "dlmone.plugins.moment_matching.objective:MomentMatching",
        options="dlmone.plugins.moment_matching.options:MomentMatchingOptions",
        help="moment matching: sg(ê_ψ − ê_φ)ᵀe one sampling step below, ψ kept near φ",
    )
