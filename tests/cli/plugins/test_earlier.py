"""A one-file plugin written for an earlier version fails with one sentence that says what to change."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main
from dlmone.core import FlowSchedule, Objective, PluginError, Start

TINY = Path(__file__).parents[2] / "tiny.toml"

#: What ``dlmone plugins new`` wrote, comments left out.
OBJECTIVE = """
from pydantic import BaseModel, ConfigDict, Field

from dlmone.core import Needs, Objective, Route, StepContext, Term
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.objective import Role
from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    scale: float = Field(1.0, gt=0, description="multiplies the loss")


class Pull(Objective):
    def __init__(self, options: Options) -> None:
        self.scale = options.scale

    def needs(self, role: Role) -> Needs | None:
        return Needs(teacher=Route.DETACHED) if role == "generator" else None

    def generator_loss(self, context: StepContext) -> Term:
        distance_B = masked_mean((context.e_fake - context.f_phi) ** 2, context.mask)
        return Term(self.scale * distance_B, {"distance": distance_B.detach()})


@hookimpl
def register_objectives(register: Register) -> None:
    register("pull", f"{__name__}:Pull", options=f"{__name__}:Options", help="pull to the teacher")
"""

#: The same, had its author imported less.
PLAIN = """
from dlmone.core import Objective, Term
from dlmone.core.step.losses import masked_mean
from dlmone.registry import hookimpl


class Pull(Objective):
    one_call_only = True

    def needs(self, role):
        import dlmone.core.step.objective as contract
        return contract.Needs(teacher=contract.Route.DETACHED)

    def generator_loss(self, context):
        return Term(masked_mean((context.e_start - context.f_phi) ** 2, context.mask), {})


@hookimpl
def register_objectives(register):
    register("pull", f"{__name__}:Pull", help="pull to the teacher")
"""

TEACHER = """
import copy
from dlmone.core import DiffusionScoreEstimator
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import hookimpl


class Headed(DiffuSeqTeacher):
    def new_score_estimator(self, head="token_mean"):
        return DiffusionScoreEstimator(copy.deepcopy(self.network), self.feature_width, head)


@hookimpl
def register_teachers(register):
    options = "dlmone.plugins.diffuseq.options:DiffuSeqOptions"
    register("headed", f"{__name__}:Headed", options=options, help="a discriminator of its own")
"""

ESTIMATOR = """
from dlmone.core import Estimate, ScoreEstimator
"""

LOGITS = """
from dlmone.core import ScoreEstimator


class Telling(ScoreEstimator):
    def estimate(self, e_t, t_B, batch, *, logits=False):
        return self.network.denoise(e_t, t_B, batch)
"""

#: A teacher's loss that draws its times between the ends of its schedule.
ENDS = """
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import hookimpl


class Flat(DiffuSeqTeacher):
    def training_loss(self, batch, noise):
        schedule = self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.first, schedule.last)
        return super().training_loss(batch, noise)


@hookimpl
def register_teachers(register):
    options = "dlmone.plugins.diffuseq.options:DiffuSeqOptions"
    register("flat", f"{__name__}:Flat", options=options, help="uniform times")
"""


def command(tmp_path: Path, text: str, *words: str) -> Result:
    plugin = tmp_path / "mine.py"
    plugin.write_text(text)
    environment = {"DLMONE_CACHE": str(tmp_path / "cache")}
    return CliRunner().invoke(main, [*words, "--plugin", str(plugin)], env=environment)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            OBJECTIVE,
            "Needs is no longer in dlmone.core: list evaluations in requests(role), such as",
        ),
        (OBJECTIVE.replace("Needs, Objective, Route", "Objective, Route, Needs"), "Route is no longer in"),
        (PLAIN, "Pull has needs, which is now requests(role), which lists evaluations such as Request("),
        (TEACHER, "Headed.new_score_estimator() takes 'head', which is no longer passed: return Diffusion"),
        (ESTIMATOR, "Estimate is no longer in dlmone.core: return a Denoised from estimate()"),
        (LOGITS, "Telling.estimate() takes 'logits', which is no longer passed: features are asked for"),
    ],
    ids=["objective", "route", "plain objective", "teacher", "estimate", "logits"],
)
def test_an_earlier_plugin_says_what_to_change(tmp_path: Path, text: str, sentence: str) -> None:
    answer = command(tmp_path, text, "check", str(TINY), "--set", "stages.*.objectives.score.use=pull")
    assert answer.exit_code == 3
    assert answer.stderr.startswith("error: the plugin file ")
    assert sentence in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_what_an_earlier_teacher_reads_says_its_name_now(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TINY.read_text().replace('use = "diffuseq"', 'use = "flat"'))
    words = ("run", str(recipe), "--run-dir", str(tmp_path / "run"), "--device", "cpu")
    answer = command(tmp_path, ENDS, *words)
    assert answer.exit_code == 3
    assert "error: a plugin reads DiscreteSchedule.first, which is now min_time" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_names_of_before_in_classes_and_objects() -> None:
    class Ended(FlowSchedule):
        def __init__(self) -> None:
            self.first, self.last = 0.0, 1.0

    with pytest.raises(PluginError, match="Ended has last, which is now max_time"):
        _ = Ended().max_time
    with pytest.raises(PluginError, match=r"Start\.unit, which is now unit_input"):
        _ = Start(0.5).unit
    assert not hasattr(FlowSchedule(), "middle")


def test_an_objective_for_both_versions_works() -> None:
    class Both(Objective):
        def needs(self, role: str) -> None:
            return None

        def requests(self, role: str) -> None:
            return None

    assert Both().requests("generator") is None
