"""What is wrong with a recipe is said in one line each: layer, key, what was expected, the nearest key."""

from pathlib import Path
from textwrap import dedent

import pytest

from dlmone.core.errors import InputError, PluginError
from dlmone.registry import Registry, ResolvedRecipe, load_recipe

REGISTRY = Registry.discover()


def load(*overrides: str) -> ResolvedRecipe:
    return load_recipe("qqp", registry=REGISTRY, overrides=overrides)


def mistake(*overrides: str, path: Path | str = "qqp") -> str:
    with pytest.raises(InputError) as failure:
        load_recipe(path, registry=REGISTRY, overrides=overrides)
    return str(failure.value)


def write(path: Path, text: str) -> Path:
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("stagse.only.steps=3", "stagse: unknown key; did you mean 'stages'?"),
        ("profil=quick", "profil: unknown key; did you mean 'profile'?"),
        ("stages.stage-1.step=3", "stages.stage-1.step: unknown key; did you mean 'steps'?"),
        (
            "stages.stage-1.objectives.score.muu=1",
            "stages.stage-1.objectives.score.muu: unknown key; did you mean 'mu'?",
        ),
        (
            "stages.stage-1.objectives.score.generator_wieght=1",
            "stages.stage-1.objectives.score.generator_wieght: unknown key; did you mean 'generator_weight'?",
        ),
        (
            "stages.stage-1.objectives.scroe.mu=1",
            "stages.stage-1.objectives.scroe.use: missing (or did you mean 'score' by 'scroe'?)",
        ),
        ("stages.stage-1.steps=many", 'stages.stage-1.steps: expected a valid integer, got "many"'),
        ("stages.stage-1.steps=1.5", "stages.stage-1.steps: expected a valid integer, got 1.5"),
        ("stages.stage-1.steps=0", "stages.stage-1.steps: expected a number greater than 0, got 0"),
        ("stages.stage-1.generator=3", "stages.stage-1.generator: expected a table, got 3"),
        (
            "stages.stage-1.t_init=late",
            "stages.stage-1.t_init: expected a number, or a table with one of the keys ratio and quantile, "
            'got "late"',
        ),
        ("stages.stage-1.t_init=nan", "stages.stage-1.t_init: expected a finite number, got NaN"),
        (
            "stages.stage-1.t_init={ratio=inf}",
            "stages.stage-1.t_init.ratio: expected a finite number, got Infinity",
        ),
        (
            "stages.stage-1.generator.lr=inf",
            "stages.stage-1.generator.lr: expected a finite number, got Infinity",
        ),
        (
            'stages."../x".steps=3',
            'stages."../x": expected a name of letters, digits, _ and -, which becomes a folder\'s, '
            'got "../x"',
        ),
        (
            "stages.teacher.steps=3",
            "stages.teacher: expected a name that a run does not use itself "
            '(pretrain, teacher, student, samples, report, final), got "teacher"',
        ),
        (
            "stages.stage-1.objectives.ema.use=sid",
            "stages.stage-1.objectives.ema: expected a name that the log does not use itself "
            '(generator, estimator, gradient, raw, ema, interval), got "ema"',
        ),
        (
            'stages.stage-1.objectives."a/b".use=sid',
            'stages.stage-1.objectives."a/b": expected a name of letters, digits and _.-, which becomes a '
            'part of logged names, got "a/b"',
        ),
        (
            "compute.precision=fp16",
            "compute.precision: expected 'auto', 'float32' or 'bfloat16', got \"fp16\"",
        ),
        (
            "evaluation.teacher_steps=[1, 0]",
            "evaluation.teacher_steps[1]: expected a number greater than 0, got 0",
        ),
        ('stages."a b".step=1', "stages.\"a b\".step: unknown key; did you mean 'steps'?"),
        ("teacher.heads=7", "teacher: width 96 is not a multiple of heads 7"),
        (
            "stages.stage-1.objectives.adversarial.head=nope",
            "stages.stage-1.objectives.adversarial.head: expected 'token_mean' or 'linear', got \"nope\"",
        ),
        ('stages."日本".step=1', 'stages."日本": expected a name of letters, digits, _ and -, which becomes'),
        ('stage_order=["nope"]', "stage_order: there is no stages.nope; known here: "),
    ],
)
def test_a_mistake_names_its_layer_its_key_and_its_remedy(override: str, sentence: str) -> None:
    assert any(line.startswith(f"--set: {sentence}") for line in mistake(override).splitlines())


@pytest.mark.parametrize(
    "name", [" ", "x ", "../../x", "/tmp/x", "a\\\\b", "..", "", "x" * 5000, ".hidden", "a\\tb", "a\\u0000b"]
)
def test_a_run_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    sentence = "expected a name for a folder: up to 100 characters, no slash, no dot at its beginning "
    found = mistake(f'name="{name}"')
    assert found.startswith(f"--set: name: {sentence}")
    assert len(found) < 400
    path = write(tmp_path / "r.toml", f"""extends = "qqp"\n[profiles."{name}"]\n""")
    assert mistake(path=path).startswith(f"{path}: profiles: {sentence}")


@pytest.mark.parametrize(
    "key",
    [
        "seed",
        "stages.stage-1.steps",
        "stages.stage-1.generator.lr",
        "stages.stage-1.generator_times.mean",
        "stages.stage-1.validation.examples",
        "stages.stage-1.validation.candidates",
        "stages.stage-1.estimator_average",
        "stages.stage-1.objectives.score.mu",
        "evaluation.teacher_steps[0]",
        "teacher.layers",
        "compute.threads",
    ],
)
def test_true_is_no_number(key: str) -> None:
    setting = "evaluation.teacher_steps=[true]" if "[" in key else f"{key}=true"
    assert f"--set: {key}: expected a number, got true" in mistake(setting).splitlines()


@pytest.mark.parametrize(
    ("key", "most"),
    [
        ("stages.stage-1.steps", 10**9),
        ("stages.stage-1.calls", 10**4),
        ("stages.stage-1.batch", 10**6),
        ("stages.stage-1.validation.candidates", 10**4),
        ("evaluation.candidates", 10**4),
        ("evaluation.batch", 10**6),
        ("teacher.pretrain.steps", 10**9),
        ("compute.threads", 512),
        ("compute.microbatch", 10**6),
        ("teacher.layers", 1000),
        ("teacher.width", 100_000),
        ("teacher.diffusion_steps", 10**6),
    ],
)
def test_sizes_have_bounds(key: str, most: int) -> None:
    assert f"--set: {key}: expected a number less than or equal to {most}, got {most + 1}" in mistake(
        f"{key}={most + 1}"
    )


@pytest.mark.parametrize(
    "key", ["seed", "data.train", "stages.stage-1.steps", "stages.stage-1.t_init", "name"]
)
def test_numbers_that_nothing_holds(key: str) -> None:
    assert f"--set: {key}: expected a number up to {2**63 - 1}, got 1000" in mistake(f"{key}=1{'0' * 30}")
    assert mistake(f"{key}=1{'0' * 5000}").endswith(
        "the value is not TOML: it has a number of too many digits"
    )


DEEP = {
    "a list": "x = " + "[" * 1000 + "]" * 1000,
    "tables": "x = " + "{a = " * 1000 + "1" + "}" * 1000,
    "a key": ".".join("a" * 900) + " = 1",
    "a long key": ".".join("a" * 20_000) + " = 1",
    "a header": "[" + ".".join("a" * 20_000) + "]",
}


@pytest.mark.parametrize("name", DEEP)
def test_a_recipe_without_a_floor(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "deep.toml", DEEP[name] + "\n")
    assert mistake(path=path) == f"{path}: not TOML: it is nested deeper than 50 levels"
    if "= 1" in DEEP[name]:
        key = DEEP[name].removesuffix(" = 1").removeprefix("x = ")
        found = mistake(f"{key}=1") if name.endswith("key") else mistake(f"x={key}")
        assert len(found) < 500
    assert load("note='" + "." * 2000 + "'")


def test_long_values_are_shortened() -> None:
    found = mistake("compute.precision=" + "x" * 10_000, "stages.stage-1.steps='" + "1" * 10_000 + "'")
    assert all(len(line) < 300 for line in found.splitlines())


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "~nouser/x", "a/" * 3000, "\n", ""])
def test_names_that_no_file_has(name: str) -> None:
    found = mistake(path=name)
    assert (
        "there is no such recipe" in found or "a folder, where a recipe's file or name was expected" in found
    )
    assert len(found) < 1000
    assert "\0" not in found


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    assert mistake(path=tmp_path) == f"{tmp_path}: a folder, where a recipe's file or name was expected"
    (tmp_path / "recipe.toml").write_text("")
    assert mistake(path=tmp_path).endswith("was expected (the recipe of this run is recipe.toml in it)")


def test_a_missing_base_names_the_file_that_extends_it(tmp_path: Path) -> None:
    path = write(tmp_path / "upper.toml", 'extends = "nowhere"\n')
    assert mistake(path=path).startswith(f"{path}: extends: nowhere: there is no such recipe")


def test_a_stage_that_never_trains_its_student() -> None:
    found = mistake("stages.stage-1.steps=20", "stages.stage-1.estimator_warmup=20")
    sentence = "in its 20 steps θ has no update, as estimator_warmup is 20: lower that, or raise steps"
    assert found == f"--set: stages.stage-1: {sentence}"
    assert load("stages.stage-1.steps=20", "stages.stage-1.estimator_warmup=19")


@pytest.mark.parametrize("text", [b"\xff\xfen\0", b"name = 'caf\xe9'", b"\0"])
def test_a_recipe_that_is_no_text(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(text)
    assert mistake(path=path).startswith(f"{path}: ")


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xef\xbb\xbfextends = 'qqp'")
    assert load_recipe(path, registry=REGISTRY).recipe.name == "qqp"


def test_every_mistake_has_its_line_and_its_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "upper.toml",
        """
        extends = "qqp"
        compute.threads = 0
        [stages.stage-1.objectives.score]
        use = 3
        [profiles.quick]
        sead = 1
        """,
    )
    assert sorted(mistake(path=path).splitlines()) == [
        f"{path} [profiles.quick]: sead: unknown key; did you mean 'seed'?",
        f"{path}: compute.threads: expected a number greater than 0, got 0",
        f"{path}: stages.stage-1.objectives.score.use: expected a valid string, got 3",
    ]


def test_mistakes_in_the_options_of_several_plugins_come_together() -> None:
    text = mistake("data.trian=1", "evaluation.metrics.bleu.smooth=1")
    assert text.splitlines() == [
        "--set: data.trian: unknown key; did you mean 'train'?",
        "--set: evaluation.metrics.bleu.smooth: unknown key; known here: device, tokenize, use",
    ]


def test_a_plugin_that_is_not_there_is_a_plugin_error_with_its_place() -> None:
    place = r"^--set: stages\.stage-1\.objectives\.score\.use: "
    with pytest.raises(PluginError, match=place + "there is no objective 'sidd'; did you mean 'sid'"):
        load("stages.stage-1.objectives.score.use=sidd")


def test_a_broken_plugin_file_stops_a_run(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "1 / 0")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        load_recipe("qqp", registry=Registry.discover([file]))


def test_an_option_cannot_take_a_key_of_the_recipes_own(tmp_path: Path) -> None:
    code = """
        import pydantic
        from dlmone.registry import hookimpl

        class Options(pydantic.BaseModel, extra="forbid"):
            generator_weight: float = 1.0

        @hookimpl
        def register_objectives(register):
            register("mine", f"{__name__}:Mine", options=f"{__name__}:Options")
    """
    registry = Registry.discover([write(tmp_path / "mine.py", code)])
    with pytest.raises(PluginError, match="the objective 'mine' has an option 'generator_weight'"):
        load_recipe("qqp", registry=registry, overrides=["stages.*.objectives.score.use=mine"])


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("evaluation=x", 'evaluation: expected a table, got "x"'),
        ("stages=3", "stages: expected a table, got 3"),
        ("evaluation.metrics=2", "evaluation.metrics: expected a table, got 2"),
        ("evaluation.metrics=[{ use = 'bleu' }]", "evaluation.metrics: expected a table, got ["),
        ("stages.stage-1=[]", "stages.stage-1: expected a table, got []"),
        ("stage_order={ a = 1 }", "stage_order: expected a list"),
        ("evaluation.teacher_steps=4", "evaluation.teacher_steps: expected a list, got 4"),
        ("data=3", "data: expected a table, got 3"),
    ],
)
def test_a_value_in_the_place_of_a_table(override: str, sentence: str) -> None:
    assert f"--set: {sentence}" in mistake(override)


@pytest.mark.parametrize("key", ["stages.stage-1.steps", "stages.stage-1.estimator_warmup", "seed"])
def test_false_is_no_number(key: str) -> None:
    assert f"--set: {key}: expected a number, got false" in mistake(f"{key}=false").splitlines()
    assert load("compute.threads=false").recipe.compute.threads is None


def test_a_long_name_of_a_plugin_is_shortened() -> None:
    with pytest.raises(PluginError, match=r"there is no teacher 'x{100}…'") as failure:
        load("teacher.use=" + "x" * 5000)
    assert len(str(failure.value)) < 500


def test_a_recipe_without_profiles_says_that_it_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "plain.toml", "name = 'a'")
    with pytest.raises(InputError, match=r"plain.toml: there is no profile 'quick'; it has no profiles$"):
        load_recipe(path, profile="quick", registry=REGISTRY)
