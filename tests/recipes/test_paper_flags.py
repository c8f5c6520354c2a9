"""What else the paper shows is one flag from the paper profile; the recipes' comments state these flags."""

import re
from pathlib import Path

import pytest

import dlmone.recipes
from dlmone.plugins.augmentation.pad import PadAugmenter
from dlmone.plugins.diffuseq.samplers import DiffuSeqDDIM, ddim_gap
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import Recipe
from dlmone.training.final.variants import EvaluationPlugins

REGISTRY = Registry.discover()
RECIPES = ["qqp", "quasar_t", "wiki_auto"]
MBR_10 = "evaluation.candidates=10"
FIGURE_2 = "evaluation={candidates=10, select.mbr.k=[1,2,3,4,5,6,7,8,9,10]}"
FIGURE_3 = 'evaluation={teacher_steps=[64,285,666,1000,2000], teacher_sampler.use="diffuseq_ddim"}'
TABLE_6 = 'evaluation.variants.pad.augment={use="pad", probability=0.5}'


def paper(name: str, flag: str) -> tuple[Recipe, EvaluationPlugins]:
    recipe = load_recipe(name, registry=REGISTRY, profile="paper", overrides=[flag]).recipe
    return recipe, EvaluationPlugins.of(REGISTRY, recipe.evaluation)


@pytest.mark.parametrize("name", RECIPES)
def test_the_comments_of_a_recipe_state_the_flags(name: str) -> None:
    text = (Path(dlmone.recipes.__path__[0]) / f"{name}.toml").read_text()
    stated = [flag.strip("'") for flag in re.findall(r"^#   --set (\S+|'.*')$", text, re.MULTILINE)]
    assert stated == [MBR_10, FIGURE_2, FIGURE_3, TABLE_6]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("flag", "sizes"), [(MBR_10, [10]), (FIGURE_2, list(range(1, 11)))])
def test_minimum_bayes_risk(name: str, flag: str, sizes: list[int]) -> None:
    recipe, plugins = paper(name, flag)
    ((selector, found),) = plugins.selectors
    assert (recipe.evaluation.candidates, list(found)) == (10, sizes)
    assert selector.name(10).startswith("mbr-10/bleu")


@pytest.mark.parametrize("name", RECIPES)
def test_the_step_counts_of_figure_3(name: str) -> None:
    """The official sampler takes ⌈2000 / stride⌉ steps: those of the paper's Table 2."""
    recipe, plugins = paper(name, FIGURE_3)
    calls = [-(-2000 // ddim_gap(2000, steps)) for steps in recipe.evaluation.teacher_steps]
    assert calls == [65, 286, 667, 1000, 2000]
    assert isinstance(plugins.teacher_sampler, DiffuSeqDDIM)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("probability", [0.5, 0.7])
def test_pad_insertion(name: str, probability: float) -> None:
    recipe, plugins = paper(name, TABLE_6.replace("0.5", str(probability)))
    augmenter = plugins.augmenters["pad"]
    assert isinstance(augmenter, PadAugmenter)
    assert recipe.evaluation.variants["pad"].augment.options["probability"] == probability
