"""Provide regression onto samples of several network calls, a good start for score distillation."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "regression",
        "dlmone.plugins.regression.objective:Regression",
        options="dlmone.plugins.regression.options:RegressionOptions",
        help="‖e − e*‖², e* a sample of several network calls from the same noise",
    )
