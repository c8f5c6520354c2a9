"""The final evaluation."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ..fields.bounds import Batch, Calls
from ..fields.names import folder_name
from .section import Examples, Section, in_order
from .slots import AugmenterSlot, EvaluatorSlot, SamplerSlot, SelectorSlot


class SelectionSlot(SelectorSlot):
    """Also score the candidate selected among the first ``k``, by default among all."""

    #: Among how many of the first candidates it selects, one row each; among all by default.
    k: Annotated[tuple[Calls, ...], Field(min_length=1)] | None = None


class Variant(Section):
    """The last student, or the teacher, with its own inference settings.

    By default ``steps`` is 1 for the student and the last of ``teacher_steps`` for the teacher; the sampler
    is re-noising for the student and ``teacher_sampler`` for the teacher.
    """

    #: Which model samples.
    of: Literal["student", "teacher"] = "student"
    #: Network calls of a sample: 1 for the student and the last of teacher_steps for the teacher, by default.
    steps: Calls | None = None
    #: The sampler: re-noising for the student and teacher_sampler for the teacher, by default.
    sampler: SamplerSlot | None = None
    #: An augmenter that varies the condition of each candidate; none by default.
    augment: AugmenterSlot | None = None


def _variant_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
        raise ValueError("expected a name of letters, digits and _.+-, which becomes part of a file's")
    return name


VariantName = Annotated[str, AfterValidator(_variant_name), AfterValidator(folder_name)]


class Evaluation(Section):
    """The final evaluation of student and teacher on the test split.

    Besides the plain rows (the teacher and the last student at numbers of steps, earlier students at one)
    there is one for each of ``variants``, and of every row one for each choice of ``select``.
    """

    #: How many of the first rows of the test split; "all" by default.
    examples: Examples = None
    #: Candidates sampled for each row.
    candidates: Calls = 3
    #: Numbers of network calls at which the teacher is evaluated, one row each.
    teacher_steps: tuple[Calls, ...] = (1, 2, 4, 20, 100)
    #: The same for the last stage's student; earlier stages' students are evaluated at one call.
    student_steps: tuple[Calls, ...] = (1, 2, 4)
    #: The sampler of the teacher.
    teacher_sampler: SamplerSlot
    #: Further rows by name, each a model with other inference settings.
    variants: dict[VariantName, Variant] = Field(default={})
    #: Selectors by name; each adds rows that score the selected candidate alone.
    select: dict[str, SelectionSlot] = Field(default={})
    #: Rows sampled at once.
    batch: Batch = 64
    #: A source that is too long is cut by itself (``source``), or with its reference (``pair``), as the
    #: official code of DiffuSeq does: what is kept then depends on the reference's length.
    truncation: Literal["source", "pair"] = "source"
    #: The scores by name.
    metrics: dict[str, EvaluatorSlot]
    #: Metrics that come before the others, which follow in the order of their sections. Tables list scores
    #: in this order, and a report takes the first of quality and of diversity for its headline.
    metric_order: tuple[str, ...] = ()
    #: Seed of the noise.
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, section: Any) -> Any:
        return in_order(section, "metrics", "metric_order")
