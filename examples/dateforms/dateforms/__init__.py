"""A plugin for dlmone: an encoder-decoder teacher, dates written in many forms, and scores."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_teachers(register: Register) -> None:
    register(
        "dateforms",
        "dateforms.teacher:DateForms",
        options="dateforms.options:DateFormsOptions",
        help="encoder and decoder with cross-attention, self-conditioned, with a learned noise schedule",
    )


@hookimpl
def register_data(register: Register) -> None:
    register("dates", "dateforms.data:Dates", help="dates such as 2024-03-07, each written in one of 8 forms")


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "dates",
        "dateforms.evaluator:DateScores",
        help="outputs that write the source's date, and the share of forms among them",
    )
