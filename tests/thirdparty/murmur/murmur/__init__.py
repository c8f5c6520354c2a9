"""A plugin as another team would bring it: a teacher of today's kind, and two objectives."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "murmur",
        "murmur.teacher:Murmur",
        options="murmur.options:MurmurOptions",
        help="contextual states, a learned schedule, self-conditioning, guidance as an input",
    )


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "murmur_consistency",
        "murmur.consistency:Consistency",
        options="murmur.options:ConsistencyOptions",
        help="θ agrees with its own average, one step down the guided teacher's ODE",
    )
    register(
        "murmur_critic",
        "murmur.critic:Critic",
        options="murmur.options:CriticOptions",
        help="a critic of its own on states without noise",
    )
