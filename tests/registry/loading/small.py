"""A small recipe, and ways to write, load and mistake one."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dlmone.core.errors import InputError
from dlmone.registry import Registry, ResolvedRecipe, load_recipe

REGISTRY = Registry.discover()

SMALL = """
    name = "small"
    profile = "quick"

    [data]
    use = "jsonl"
    path = "data"

    [teacher]
    use = "diffuseq"
    path = "models/teacher"

    [stages.only]
    steps = 10
    t_init = { quantile = 0.75 }
    generator = { lr = 1e-5 }
    estimator = { lr = 1e-5 }
    objectives.score = { use = "sid", mu = 1.0, generator_weight = 0.5 }

    [evaluation]
    teacher_sampler = { use = "ddim" }
    metrics.bleu = { use = "bleu" }

    [profiles.quick]
    note = "for a look"
    stages.only.steps = 2
    data = { use = "questions" }

    [profiles.plain]
"""


def write(path: Path, text: str) -> Path:
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load(path: Path | str, *overrides: str, **options: Any) -> ResolvedRecipe:
    return load_recipe(path, registry=REGISTRY, overrides=overrides, **options)


def mistake(path: Path | str, *overrides: str, **options: Any) -> str:
    with pytest.raises(InputError) as failure:
        load(path, *overrides, **options)
    return str(failure.value)
