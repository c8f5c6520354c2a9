"""A small grid: its recipe, its plugin, and the command that runs it."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from dlmone.cli import main

RECIPE = """
extends = "one_stage.toml"

[data]
use = "jsonl"
path = "data"

[teacher]
seq_len = 12

[stages.one]
generator = { lr = 3e-2, schedule = "linear" }
estimator = { lr = 1e-3 }
weights = "raw"
validation = { every = 3, examples = 4, metric = "letters" }

[evaluation]
teacher_steps = [1, 3]
student_steps = [1, 2]
metrics = { letters = { use = "letters" }, dist_1 = { use = "dist_1" } }

[grid]
seeds = 2
passes = 264    # six iterations of SiD

[grid.rows.sid]

[grid.rows.sds]
stages.one.objectives.score.use = "sds"
search = { "stages.one.generator.lr" = [1e-3, 3e-2] }

[grid.rows.wrong]
stages.one.objectives.score.use = "boom"
"""
BASE = Path(__file__).parents[1] / "one_stage.toml"
#: A score of which less is better, an objective whose run fails, and a Ctrl-C in the third step of a run.
PLUGIN = """
import os, signal
from pathlib import Path
from dlmone.core import DlmoneError, Evaluator, Objective, Request, Score, TEACHER, Noised
from dlmone.registry import hookimpl
from pydantic import BaseModel

class Options(BaseModel, extra="forbid"):
    pass

class Boom(Objective):
    def __init__(self, options):
        pass

    def requests(self, role):
        return (Request(TEACHER, Noised()),) if role == "generator" else None

    def generator_loss(self, step):
        raise DlmoneError("it went off")

class Letters(Evaluator):
    def __init__(self, options):
        pass

    def evaluate(self, samples):
        letters = [ord(letter) for sample in samples for letter in sample.candidates[0]]
        return [Score("letters", sum(letters) / len(letters), "letters", "lower")]

@hookimpl
def register_evaluators(register):
    register("letters", f"{__name__}:Letters", options=f"{__name__}:Options")

@hookimpl
def register_objectives(register):
    register("boom", f"{__name__}:Boom", options=f"{__name__}:Options")

running = []

@hookimpl
def run_started(run_dir):
    running.append(run_dir)

@hookimpl
def step_finished(stage, step):
    once = Path("stopped")
    if not once.exists() and step == 3 and str(running[-1]).endswith("sid/seed-1"):
        once.touch()
        os.kill(os.getpid(), signal.SIGINT)
"""


def dlmone(*args: object) -> Result:
    return CliRunner().invoke(main, list(map(str, args)))


def log(run: Path) -> list[dict]:
    """A run's log without its clock."""
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds_per_step"} for entry in entries]
