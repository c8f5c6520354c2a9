"""Consistency distillation: θ maps every state of the teacher's ODE to where the ODE ends."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "consistency",
        "dlmone.plugins.consistency.objective:Consistency",
        options="dlmone.plugins.consistency.options:ConsistencyOptions",
        help="consistency distillation: θ agrees with its own average one step of the ODE below, without ψ",
    )
