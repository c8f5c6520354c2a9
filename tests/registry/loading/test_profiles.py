"""Profiles and what extends a recipe: which lies above which, and where their files are."""

import zipfile
from pathlib import Path

import pytest

from dlmone.registry import shipped_recipes
from dlmone.registry.loading import files as loading_files
from dlmone.registry.loading.files import recipe_text

from .small import SMALL, load, mistake, write


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
