"""Model cards: the README.md of a published folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlmone.registry import Recipe

_TEACHER = """# {name}: teacher

A diffusion language model of the family `{family}`, pretrained by dlmone with the recipe `{name}`
({steps} steps of batch {batch}, seed {seed}).

{note}

    dlmone generate PATH {input}
"""

_STUDENT = """# {name}: one-step student

A one-step text generator distilled from a diffusion language model of the family `{family}` by dlmone,
with the recipe `{name}`, stage `{stage}` (objectives: {objectives}), seed {seed}.

{note}

Selected at step {step} of {steps} by {metric} = {best:.4f} on {examples} validation examples
({weights} weights of the generator).

    dlmone generate PATH {input}
"""

_CONVERTED = """# {name}: {role}

A diffusion language model of the family `{family}`, converted by dlmone from a checkpoint trained elsewhere.

{report}

    dlmone generate PATH {input}
"""


def input_of(conditional: bool) -> str:
    """Return what the command needs besides the model."""
    return '"text"' if conditional else "--samples 10"


def teacher_card(recipe: Recipe, conditional: bool) -> str:
    """Return the card of a teacher that a run pretrained, for conditions or without."""
    table = recipe.teacher.pretrain
    assert table is not None
    return _TEACHER.format(
        name=recipe.name,
        family=recipe.teacher.use,
        steps=table.steps,
        batch=table.batch,
        seed=recipe.seed,
        note=recipe.note,
        input=input_of(conditional),
    )


def student_card(recipe: Recipe, stage: str, facts: Mapping[str, Any], conditional: bool) -> str:
    """Return the card of a stage's best student; ``facts`` are its best score and step."""
    table = recipe.stages[stage]
    return _STUDENT.format(
        name=recipe.name,
        family=recipe.teacher.use,
        stage=stage,
        objectives=", ".join(slot.use for slot in table.objectives.values()),
        seed=recipe.seed,
        note=recipe.note,
        step=facts["best_step"],
        steps=table.steps,
        metric=facts["metric"],
        best=facts["best"],
        examples=table.validation.examples or "all",
        weights=table.weights,
        input=input_of(conditional),
    )


def converted_card(name: str, family: str, role: str, report: Sequence[str], conditional: bool) -> str:
    """Return the card of a converted teacher or student; ``report`` is the converter's."""
    lines = "\n".join(f"- {line}" for line in report)
    return _CONVERTED.format(name=name, family=family, role=role, report=lines, input=input_of(conditional))
