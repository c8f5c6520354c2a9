"""Every profile of every shipped recipe resolves, says what it means, and loads again from its dump."""

import shlex
import tomllib
from pathlib import Path

import pytest

from dlmone.registry import Registry, load_recipe, shipped_recipes
from dlmone.registry.loading.files import read_recipe

REGISTRY = Registry.discover()
PROFILES = [(name, profile) for name in shipped_recipes() for profile in read_recipe(name).profiles]


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_a_profile_resolves_and_reproduces(name: str, profile: str, tmp_path: Path) -> None:
    resolved = load_recipe(name, registry=REGISTRY, profile=profile)
    assert (resolved.recipe.name, resolved.profile) == (Path(name).name, profile)
    assert resolved.recipe.note or name.startswith("ablations/")
    again = tmp_path / "recipe.toml"
    again.write_text(resolved.dump())
    assert tomllib.loads(again.read_text()) == resolved.table
    assert load_recipe(again, registry=REGISTRY).recipe == resolved.recipe


def test_every_recipe_is_described_and_has_the_papers_setting() -> None:
    assert all(shipped_recipes().values())
    whole = [name for name in shipped_recipes() if "/" not in name]
    assert {name for name, profile in PROFILES if profile == "paper"} == set(whole)
    assert {name: read_recipe(name).default_profile for name in whole} == {
        "lm1b": "quick",
        "qqp": "quick",
        "quasar_t": "paper",
        "wiki_auto": "paper",
        "xsum": "quick",
    }


def test_the_quick_profile_needs_nothing_from_outside() -> None:
    recipe = load_recipe("qqp", registry=REGISTRY).recipe
    assert recipe.data.use == "questions"
    assert recipe.teacher.path is None
    assert recipe.teacher.pretrain is not None
    assert recipe.teacher.options["tokenizer"]["use"] == "words"
    assert recipe.evaluation.metrics["questions"].options["candidates"] <= recipe.evaluation.candidates


def test_an_ablation_changes_the_quick_profile_and_keeps_its_teacher() -> None:
    quick = load_recipe("qqp", registry=REGISTRY).recipe
    ablations = [name for name in shipped_recipes() if name.startswith("ablations/")]
    assert ablations
    for name in ablations:
        recipe = load_recipe(name, registry=REGISTRY).recipe
        assert (recipe.teacher, recipe.data, recipe.note) == (quick.teacher, quick.data, quick.note)
        assert (recipe.stages, recipe.evaluation) != (quick.stages, quick.evaluation)


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_the_ablations_of_the_recipes_head_are_one_flag(profile: str) -> None:
    flags = ["stages.*.objectives.score.use=diff_instruct", "stages.*.objectives.adversarial=false"]
    recipe = load_recipe("qqp", registry=REGISTRY, profile=profile, overrides=flags).recipe
    plain = load_recipe("qqp", registry=REGISTRY, profile=profile).recipe
    for name in ("stage-1", "stage-2"):
        objectives = recipe.stages[name].objectives
        assert objectives.keys() == plain.stages[name].objectives.keys() - {"adversarial"}
        assert objectives["score"].use == "diff_instruct"
        assert "mu" not in objectives["score"].options
    assert recipe.stages.keys() == plain.stages.keys()


def test_the_readmes_ablation_leaves_diff_instruct_once_in_each_stage() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if "score.use=diff_instruct" in line)
    words = shlex.split(command)
    flags = [word for place, word in enumerate(words) if words[place - 1] == "--set"]
    stages = load_recipe("qqp", registry=REGISTRY, overrides=flags).recipe.stages
    used = {name: [one.use for one in stage.objectives.values()] for name, stage in stages.items()}
    assert all(uses.count("diff_instruct") <= 1 for uses in used.values()), used
    assert "sid" not in [use for uses in used.values() for use in uses]
    assert sum("diff_instruct" in uses for uses in used.values()) >= 2
