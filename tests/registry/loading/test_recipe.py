"""Recipes: found, layered and resolved."""

import zipfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dlmone.core.errors import InputError
from dlmone.registry import Registry, ResolvedRecipe, load_recipe, shipped_recipes
from dlmone.registry.loading import files as loading_files
from dlmone.registry.loading.files import recipe_text

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


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.toml", SMALL)


def write(path: Path, text: str) -> Path:
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load(path: Path | str, *overrides: str, **options: Any) -> ResolvedRecipe:
    return load_recipe(path, registry=REGISTRY, overrides=overrides, **options)


def mistake(path: Path | str, *overrides: str, **options: Any) -> str:
    with pytest.raises(InputError) as failure:
        load(path, *overrides, **options)
    return str(failure.value)


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


def test_a_profile_that_is_not_there_suggests_one(small: Path) -> None:
    assert mistake(small, profile="quik") == f"{small}: there is no profile 'quik'; did you mean 'quick'?"


def test_extends_lies_below_and_lends_its_profiles(small: Path, tmp_path: Path) -> None:
    upper = """
        extends = "small.toml"
        name = "upper"
        stages.only.objectives.score.use = "diff_instruct"
    """
    path = write(tmp_path / "upper.toml", upper)
    lent = load(path)
    assert (lent.profile, lent.recipe.name, lent.recipe.stages["only"].steps) == ("quick", "upper", 2)
    score = lent.recipe.stages["only"].objectives["score"]
    assert (score.use, score.generator_weight) == ("diff_instruct", 0.5)
    assert "mu" not in score.options
    write(path, upper + "\nprofiles.quick.stages.only.steps = 7\n")
    own = load(path)
    assert (own.recipe.stages["only"].steps, own.recipe.data.use, own.recipe.note) == (
        7,
        "questions",
        "for a look",
    ), "it lies above the extended file's profile of the same name"


def test_extends_takes_a_shipped_name_and_no_chain(small: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.toml", 'extends = "qqp"\nname = "mine"\n')
    assert load(path, profile="paper").recipe.stages["stage-2"].steps == 50_000
    chain = write(tmp_path / "chain.toml", 'extends = "mine.toml"\n')
    assert "mine.toml: extends 'qqp' and is extended itself: one level is the limit" in mistake(chain)


def test_a_profile_can_have_a_file_of_its_own(small: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own.toml", 'note = "mine"\nstages.only.steps = 3\n')
    text = SMALL.replace("[profiles.plain]", '[profiles]\n    plain = "own.toml"')
    path = write(tmp_path / "apart.toml", text)
    resolved = load(path, profile="plain").recipe
    assert (resolved.stages["only"].steps, resolved.note) == (3, "mine")
    upper = write(tmp_path / "upper.toml", 'extends = "apart.toml"\nprofiles.plain.note = "upper"\n')
    resolved = load(upper, profile="plain").recipe
    assert (resolved.stages["only"].steps, resolved.note) == (3, "upper")
    write(own, "stages.only.stepz = 3\n")
    assert mistake(path, profile="plain").startswith(f"{own}: stages.only.stepz: unknown key")
    write(own, 'extends = "qqp"\n')
    found = mistake(path, profile="plain")
    assert found == f"{path}: profiles.plain: {own} has the key 'extends', which only a recipe can have"
    own.rename(tmp_path / "owm.toml")
    found = mistake(path, profile="plain")
    assert found.startswith(f"{path}: profiles.plain: there is no file 'own.toml'; did you mean ")
    assert "owm.toml" in found
    assert load(path).recipe.note == "for a look", "another profile does not need it"


def test_a_copy_of_a_shipped_recipe_finds_its_profiles(tmp_path: Path) -> None:
    copy = write(tmp_path / "copy.toml", recipe_text("qqp"))
    assert load(copy, profile="compact").table == load("qqp", profile="compact").table
    assert not any(name.startswith("profiles") for name in shipped_recipes())
    (tmp_path / "profiles").mkdir()
    text = recipe_text("profiles/quick").replace("steps = 5000", "steps = 1234")
    write(tmp_path / "profiles" / "quick.toml", text)
    assert load(copy).recipe.stages["start"].steps == 1234, "a file beside it comes first"


def test_profiles_of_an_archive_are_looked_for_in_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load("qqp", profile="quick").recipe
    shipped = loading_files.files("dlmone.recipes")
    with zipfile.ZipFile(tmp_path / "dlmone.zip", "w") as archive:
        for name in ("qqp.toml", "profiles/quick.toml"):
            archive.writestr(f"recipes/{name}", shipped.joinpath(name).read_text(encoding="utf-8"))
    (tmp_path / "profiles").mkdir()
    write(tmp_path / "profiles" / "quick.toml", "no TOML")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading_files, "files", lambda _: zipfile.Path(tmp_path / "dlmone.zip", "recipes/"))
    assert load("qqp", profile="quick").recipe == wanted


def test_a_profile_is_no_recipe() -> None:
    found = mistake("profiles/quick")
    assert found.startswith("recipes/profiles/quick.toml: a profile, which is run by a recipe that names it")


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
