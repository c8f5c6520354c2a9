"""Options of the flow map that tests share."""

from typing import Any

from dlmone.plugins.flow_map.options import FlowMapOptions

LOSSES = ("lagrangian", "eulerian", "progressive")


def options(**given: Any) -> FlowMapOptions:
    return FlowMapOptions.model_validate(given)
