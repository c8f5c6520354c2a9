"""A plugin for dlmone: a flow-matching teacher of spelled words, a corpus of weather lines, and scores."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "flowchars",
        "flowchars.teacher:FlowChars",
        options="flowchars.options:FlowCharsOptions",
        help="flow matching over spelled words, without a condition",
    )


@hookimpl
def register_data(register: Register) -> None:
    register("weather", "flowchars.data:WeatherLines", help="4,096 three-word lines about the weather")


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "weather",
        "flowchars.evaluator:WeatherScores",
        help="valid words, valid lines, and the share of distinct ones",
    )
