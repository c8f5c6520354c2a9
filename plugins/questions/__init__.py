"""Provide embedded data: questions of a grammar, as paraphrases or as text, and their exact scores."""

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
    register(
        "question_text",
        "dlmone.plugins.questions.text:QuestionTextSource",
        options="dlmone.plugins.questions.options:TextOptions",
        help="text without a source: questions of the built-in grammar, one a row or wrapped",
    )


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "questions",
        "dlmone.plugins.questions.evaluator:QuestionsEvaluator",
        options="dlmone.plugins.questions.options:EvaluatorOptions",
        help="exact fidelity and coverage for samples of the data source `questions`",
    )
    register(
        "question_text",
        "dlmone.plugins.questions.validity:QuestionTextEvaluator",
        options="dlmone.plugins.questions.options:Rows",
        help="exact validity and coverage for samples of the data source `question_text`",
        default=False,  # no other text is of the grammar
    )
