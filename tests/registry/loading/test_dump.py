"""A resolved recipe, written out, loads again as it was: whatever was set, whatever was switched off."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmone.registry import Registry, load_recipe
from dlmone.registry.fields.paths import trouble

REGISTRY = Registry.discover()


def inline(value: Any) -> str:
    """Write a value on one line, as ``--set`` takes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(below)}" for key, below in value.items()) + "}"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").strip()


letters = st.characters(codec="utf-8")
paths = st.text(letters, min_size=1).filter(lambda text: not trouble(text))
positive = st.floats(1e-12, 1e12)
optional = st.just(False) | positive
times = (
    positive
    | st.builds(lambda r: {"ratio": r}, positive)
    | st.builds(lambda q: {"quantile": q / 8}, st.integers(0, 8))
)
overrides = st.fixed_dictionaries(
    {},
    optional={
        "note": st.text(letters),
        "seed": st.integers(0, 2**62),
        "stages.stage-1.t_init": times,
        "stages.*.t_max": times | st.integers(0, 2000),
        "stages.stage-1.ema.ramp": optional,
        "stages.stage-1.ema.half_life": positive,
        "stages.stage-1.generator.clip_norm": optional,
        "stages.a-new-one": st.just(
            {
                "steps": 1,
                "t_init": 1,
                "generator": {"lr": 1},
                "estimator": {"lr": 1},
                "objectives": {"a": {"use": "diffusion_gan"}},
            }
        ),
        "stages.stage-1.objectives.score.use": st.sampled_from(["sid", "diff_instruct"]),
        "stages.stage-1.objectives.score.estimator_weight": st.floats(0, 1e300),
        "evaluation.teacher_sampler": st.builds(lambda start: {"use": "ddim", "start": start}, positive),
        "evaluation.teacher_steps": st.lists(st.integers(1, 10_000)),
        "evaluation.examples": st.integers(1, 9) | st.just("all") | st.just(False),
        "stages.stage-1.validation.examples": st.integers(1, 9) | st.just("all"),
        "evaluation.metrics.bleu": st.just(False),
        "teacher.path": st.just(False) | paths,
        "compute.threads": st.integers(1, 9),
    },
)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["quick", "compact", "paper"]), overrides)
def test_a_dumped_recipe_loads_as_it_was(profile: str, chosen: dict[str, Any]) -> None:
    sets = [f"{key}={inline(value)}" for key, value in chosen.items()]
    first = load_recipe("qqp", registry=REGISTRY, profile=profile, overrides=sets)
    with TemporaryDirectory() as folder:
        path = Path(folder, "recipe.toml")
        path.write_text(first.dump(), encoding="utf-8")
        again = load_recipe(path, registry=REGISTRY)
    assert again.recipe == first.recipe
    assert again.table == first.table
    assert list(again.recipe.stages) == list(first.recipe.stages)
