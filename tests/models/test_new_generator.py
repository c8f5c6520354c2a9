"""What a student is, is its teacher's to say: every part of dlmone makes students by `new_generator`.

The plugin below makes students of its own class and one layer smaller than their teacher. Everything runs in
this process with the base class's start taken away, so whoever samples with the base class fails.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import dlmone
from dlmone.cli import main
from dlmone.core import DiffusionGenerator
from dlmone.models.folder import load_student
from dlmone.registry import Registry

TINY = Path(__file__).parents[1] / "tiny.toml"
PLUGIN = '''
import copy
from dlmone.core import DiffusionGenerator, Start
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import hookimpl


class TwiceTheNoise(Start):
    def state(self, space, z):
        return 2 * super().state(space, z)


class Doubled(DiffusionGenerator):
    """Begins with twice the noise."""

    @property
    def start(self):
        return TwiceTheNoise(self.t_init, self.unit_input)


class Shortening(DiffuSeqTeacher):
    """Its students have the first of its layers only."""

    def new_generator(self, t_init, unit_input=False):
        network = copy.deepcopy(self.network)
        network.input_transformers.layer = network.input_transformers.layer[:1]
        return Doubled(network, self.space, t_init, unit_input)


@hookimpl
def register_teachers(register):
    options = "dlmone.plugins.diffuseq.options:DiffuSeqOptions"
    register("shortening", f"{__name__}:Shortening", options=options, help="makes students of one layer")
'''

VARIANT = """
[profiles.tiny.evaluation.variants.two]
steps = 2
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "shortening.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture(autouse=True, scope="module")
def no_base_class():
    def used(*_: object) -> None:
        raise AssertionError("DiffusionGenerator itself was used")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiffusionGenerator, "start", property(used))
        yield


def dlmone_command(plugin: Path, *words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--plugin", str(plugin), "--device", "cpu"])


@pytest.fixture(scope="module")
def recipe(plugin: Path) -> Path:
    """The tiny recipe with the plugin's teacher, of two layers."""
    text = TINY.read_text().replace('use = "diffuseq"', 'use = "shortening"')
    path = plugin.with_name("recipe.toml")
    path.write_text(text.replace("layers = 1", "layers = 2") + VARIANT)
    return path


@pytest.fixture(scope="module")
def run(plugin: Path, recipe: Path) -> Path:
    """A run that trained, validated, published and evaluated, two stages of it."""
    path = plugin.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(plugin.parent / "cache"))
        answer = dlmone_command(plugin, "run", recipe, "--run-dir", path, "--no-report")
    assert answer.exit_code == 0, answer.stderr
    return path


def test_training_validation_and_the_final_evaluation_use_the_teachers_student(run: Path) -> None:
    rows = json.loads((run / "report" / "results.json").read_text())["rows"]
    assert [row["setting"]["role"] for row in rows[1:]].count("student") == 5


def test_a_published_student_holds_its_own_network_and_loads_as_its_class(run: Path, plugin: Path) -> None:
    registry = Registry.discover([plugin])
    student = load_student(run / "student", registry)
    assert type(student).__name__ == "Doubled"
    assert len(student.network.input_transformers.layer) == 1
    teacher = dlmone.load(run / "teacher", device="cpu", registry=registry).generator
    assert len(teacher.network.input_transformers.layer) == 2
    model = dlmone.load(run, device="cpu", precision="bfloat16", registry=registry)
    assert type(model.generator).__name__ == "Doubled"
    assert len(model.generate(["how is it ?"])) == 1


def test_without_its_plugin_the_model_says_which_it_needs(run: Path) -> None:
    answer = CliRunner().invoke(main, ["generate", str(run), "how is it ?"])
    assert (answer.exit_code, answer.stdout) == (3, "")
    assert "there is no teacher 'shortening'" in answer.stderr
    assert (
        "; the model was made with shortening.py, which is not installed or given (--plugin" in answer.stderr
    )


def test_commands_that_load_it(run: Path, recipe: Path, plugin: Path, tmp_path: Path) -> None:
    for words in (
        ("generate", run, "how is it ?"),
        ("bench", run, "--steps", 1, "--runs", 1),
        ("bench", recipe, "--steps", 1, "--runs", 1),
    ):
        answer = dlmone_command(plugin, *words)
        assert answer.exit_code == 0, answer.output
    exported = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "out"), "--plugin", str(plugin)])
    assert exported.exit_code == 0, exported.output
    assert dlmone_command(plugin, "generate", tmp_path / "out", "how is it ?").exit_code == 0
