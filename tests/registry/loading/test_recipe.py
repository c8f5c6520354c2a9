"""Recipes: found, layered and resolved."""

from pathlib import Path

import pytest

from dlmone.registry import Registry, load_recipe, shipped_recipes

from .small import REGISTRY, SMALL, load, mistake, write

# Finding


def test_a_recipe_is_found_by_path_by_name_and_by_the_path_it_was_shipped_under(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [name for name in shipped_recipes() if "/" not in name] == [
        "lm1b",
        "qqp",
        "quasar_t",
        "wiki_auto",
        "xsum",
    ]
    assert load("small.toml").source == "small.toml"
    assert load("qqp").source == load("recipes/qqp.toml").source == "recipes/qqp.toml"
    assert "did you mean 'quasar_t'?" in mistake("quasar-t")
    assert "other/qqp.toml: there is no such recipe" in mistake("other/qqp.toml")
    (tmp_path / "recipes").mkdir()
    write(tmp_path / "recipes" / "qqp.toml", SMALL)
    assert load("recipes/qqp.toml").recipe.name == "small"


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.toml", 'name = "x"\nseed 3\n')
    assert mistake(path).startswith(f"{path}: not TOML: ")
    assert "line 2" in mistake(path)
    path.write_bytes(b"\xff")
    assert mistake(path).startswith(f"{path}: cannot be read: ")


# Layers


def test_base_profile_set_seed_lie_in_this_order(small: Path) -> None:
    plain, quick = load(small, profile="plain"), load(small)
    assert (plain.profile, plain.recipe.note, plain.recipe.stages["only"].steps) == ("plain", "", 10)
    assert (quick.profile, quick.recipe.note, quick.recipe.stages["only"].steps) == ("quick", "for a look", 2)
    assert quick.recipe.data.use == "questions"
    assert "path" not in quick.recipe.data.options
    above = load(small, "stages.*.steps=3", "seed=4", seed=5)
    assert (above.recipe.stages["only"].steps, above.recipe.seed) == (3, 5)


PRETRAIN = "teacher.pretrain={steps=5,batch=2,optimizer={lr=1e-3}}"


@pytest.mark.parametrize("override", ["teacher.dropout=0.2", "teacher.drpout=0.2", PRETRAIN])
def test_what_a_loaded_teacher_would_ignore_is_refused(small: Path, override: str) -> None:
    key, _, _ = override.partition("=")
    assert mistake(small, override) == (
        f"--set: {key}: the teacher is loaded from models/teacher as it was trained, so this changes "
        "nothing; remove it, or set teacher.path = false to train one"
    )


def test_a_profile_that_trains_its_teacher_switches_the_path_off(small: Path) -> None:
    trained = load(small, "teacher.path=false", "teacher.dropout=0.2", PRETRAIN).recipe.teacher
    assert (trained.path, trained.options["dropout"]) == (None, 0.2)
    assert trained.pretrain is not None
    assert mistake(small, "teacher.path=other", "teacher.dropout=0.2").startswith("--set: teacher.dropout: ")


def test_the_path_of_a_trained_teacher_above_takes_out_what_trains_one(small: Path, tmp_path: Path) -> None:
    upper = """
        extends = "small.toml"
        name = "upper"
        [teacher]
        path = false
        dropout = 0.2
        pretrain = { steps = 5, batch = 2, optimizer = { lr = 1e-3 } }
    """
    path = write(tmp_path / "upper.toml", upper)
    assert load(path).recipe.teacher.options["dropout"] == 0.2
    teacher = load(path, "teacher.path=trained").table["teacher"]
    assert teacher == load(small, "teacher.path=trained").table["teacher"]
    assert teacher == {"use": "diffuseq", "path": "trained"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("extends = 3", "extends: expected a string, got 3"),
        ("profile = true", "profile: expected a string, got True"),
        ("profiles = 3", "profiles: expected tables, as in [profiles.quick], or names of .toml files"),
        ("profiles.a = 3", "profiles: expected tables, as in [profiles.quick], or names of .toml files"),
        ("profiles.a = 'qqp'", "profiles: expected tables, as in [profiles.quick], or names of .toml files"),
    ],
)
def test_keys_of_the_file_itself_are_checked(tmp_path: Path, line: str, sentence: str) -> None:
    path = write(tmp_path / "x.toml", line)
    assert mistake(path) == f"{path}: {sentence}"


# What is resolved


def test_defaults_of_the_plugins_are_written_out(small: Path) -> None:
    resolved = load(small, "stages.only.objectives.score.mu=0.5")
    score = resolved.recipe.stages["only"].objectives["score"]
    assert score.options == {
        "mu": 0.5,
        "mu_lag": 0.0,
        "mu_memory": 20,
        "weighting": "sid",
        "dsm_weighting": "one",
        "teacher_guidance": 1.0,
        "estimator_guidance": 1.0,
        "dsm_guidance": 1.0,
        "condition_dropout": 0.1,
    }
    assert resolved.recipe.evaluation.teacher_sampler.options == {
        "eta": 0.0,
        "temperature": 1.0,
        "rounding": True,
        "spacing": "time",
    }
    sampler = REGISTRY.create("samplers", resolved.recipe.evaluation.teacher_sampler)
    assert sampler.options.start is None


def test_a_loaded_teacher_keeps_the_options_of_its_folder(small: Path) -> None:
    assert load(small).table["teacher"] == {"use": "diffuseq", "path": "models/teacher"}
    built = load(small, "teacher.path=false").table["teacher"]
    assert "path" not in built
    assert built["width"] == 768


def test_false_switches_optional_values_off_and_named_parts_out(small: Path) -> None:
    resolved = load(small, "stages.only.ema.ramp=false", "stages.only.objectives.gan.use=diffusion_gan")
    stage = resolved.recipe.stages["only"]
    assert stage.ema.ramp is None
    assert resolved.table["stages"]["only"]["ema"] == {"half_life": 50_000, "ramp": False}
    assert list(stage.objectives) == ["score", "gan"]
    assert mistake(small, "evaluation.metrics.blue=false").endswith("did you mean 'bleu'?")
    assert load(small, "evaluation.metrics.bleu=false").recipe.evaluation.metrics == {}


def test_part_of_a_table_keeps_the_other_defaults(small: Path) -> None:
    pretrain = "teacher.pretrain={steps=1, batch=1, optimizer={lr=1}, validation={examples=5}}"
    table = load(small, "teacher.path=false", pretrain).recipe.teacher.pretrain
    assert table is not None
    assert (table.validation.every, table.validation.examples) == (1000, 5)
    assert table.optimizer.beta1 == 0.9


def test_a_profile_can_put_a_stage_first(small: Path) -> None:
    more = 'stages.first={steps=1, t_init=1490, generator={lr=1}, objectives.r={use="regression"}}'
    assert list(load(small, more).recipe.stages) == ["only", "first"]
    ordered = load(small, more, 'stage_order=["first"]')
    assert list(ordered.recipe.stages) == list(ordered.table["stages"]) == ["first", "only"]
    order = 'stage_order=["first", "only"]'
    without = load(small, more, order, "stages.only=false")
    assert list(without.recipe.stages) == without.table["stage_order"] == ["first"]
    assert mistake(small, more, 'stage_order=["frist"]').endswith(
        "stage_order: there is no stages.frist; did you mean 'first'?"
    )
    assert mistake(small, 'evaluation.metric_order=["nope"]').endswith(
        "evaluation.metric_order: there is no evaluation.metrics.nope; known here: bleu"
    )


def test_a_star_means_the_stages_that_have_the_objective(small: Path) -> None:
    more = 'stages.first={steps=1, t_init=1490, generator={lr=1}, objectives.r={use="regression"}}'
    stages = load(small, more, "stages.*.objectives.score.mu=0.5", "stages.*.steps=7").recipe.stages
    assert list(stages["first"].objectives) == ["r"]
    assert stages["only"].objectives["score"].options["mu"] == 0.5
    assert {stage.steps for stage in stages.values()} == {7}
    added = load(small, more, 'stages.*.objectives.more={use="sds"}').recipe.stages
    assert all("more" in stage.objectives for stage in added.values())


def test_options_are_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the recipe is read, and not again where the plugin is made."""
    from dlmone.plugins.sid.options import SiDOptions

    validated, inner = [], SiDOptions.model_validate
    monkeypatch.setattr(
        SiDOptions, "model_validate", lambda table, **more: validated.append(table) or inner(table, **more)
    )
    registry = Registry.discover()
    recipe = load_recipe("qqp", registry=registry, profile="paper").recipe
    seen = len(validated)
    for stage in recipe.stages.values():
        registry.create("objectives", stage.objectives["score"])
    assert seen == len(recipe.stages) == len(validated)
