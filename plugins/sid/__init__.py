"""Score identity distillation (SiD): the paper's score-matching objective."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "sid",
        "dlmone.plugins.sid.objective:SiD",
        options="dlmone.plugins.sid.options:SiDOptions",
        help="score identity distillation (Eq. 3 and 4)",
    )
