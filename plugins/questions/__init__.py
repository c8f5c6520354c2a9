"""Provide embedded data: question paraphrases from a grammar that scores generated text exactly."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_data(register: Register) -> None:
    register(
        "questions",
        "dlmone.plugins.questions.source:QuestionsSource",
        options="dlmone.plugins.questions.options:SourceOptions",
        help="question paraphrases from a built-in grammar; needs no download",
    )


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "questions",
        "dlmone.plugins.questions.evaluator:QuestionsEvaluator",
        options="dlmone.plugins.questions.options:EvaluatorOptions",
        help="exact fidelity and coverage for samples of the data source `questions`",
    )
