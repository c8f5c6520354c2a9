"""Regression onto samples of several calls: the start that score distillation likes."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "regression",
        "dlmone.plugins.regression.objective:Regression",
        options="dlmone.plugins.regression.options:RegressionOptions",
        help="‖e − e*‖², e* what several calls make of the same noise",
    )
