"""Flow-map distillation: θ leads from any time of the teacher's ODE to any earlier one in one call."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "flow_map",
        "dlmone.plugins.flow_map.objective:FlowMap",
        options="dlmone.plugins.flow_map.options:FlowMapOptions",
        help="flow-map distillation: θ, told two times, leads from one to the other on the teacher's ODE",
    )
