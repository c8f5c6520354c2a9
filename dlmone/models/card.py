"""Model cards: the README.md of a published folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlmone.registry import Recipe

_TEACHER = """# {name}: teacher

A diffusion language model of the family `{family}`, pretrained by dlmone with the recipe `{name}`
({steps} steps of batch {batch}, seed {seed}).

{note}

    dlmone generate PATH "text"
"""

_STUDENT = """# {name}: one-step student

A one-step text generator distilled from a diffusion language model of the family `{family}` by dlmone,
with the recipe `{name}`, stage `{stage}` (objectives: {objectives}), seed {seed}.

{note}

Selected at step {step} of {steps} by {metric} = {best:.4f} on {examples} validation examples
({weights} weights of the generator).

    dlmone generate PATH "text"
"""

_CONVERTED = """# {name}: {role}

A diffusion language model of the family `{family}`, converted by dlmone from a checkpoint trained elsewhere.

{report}

    dlmone generate PATH "text"
"""


def teacher_card(recipe: Recipe) -> str:
    """Return the card of a teacher that a run pretrained."""
    table = recipe.teacher.pretrain
    assert table is not None
    return _TEACHER.format(
        name=recipe.name,
        family=recipe.teacher.use,
        steps=table.steps,
        batch=table.batch,
        seed=recipe.seed,
        note=recipe.note,
    )


def student_card(recipe: Recipe, stage: str, facts: Mapping[str, Any]) -> str:
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
    )


def converted_card(name: str, family: str, role: str, report: Sequence[str]) -> str:
    """Return the card of a converted teacher or student; ``report`` is the converter's."""
    lines = "\n".join(f"- {line}" for line in report)
    return _CONVERTED.format(name=name, family=family, role=role, report=lines)
