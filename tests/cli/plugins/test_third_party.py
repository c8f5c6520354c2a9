"""Plugins that are wrong: one sentence names the file, the class and the method, and the exit code is 3."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main

TINY = str(Path(__file__).parents[2] / "tiny.toml")
SMALL = ("--device", "cpu", "--set", "stages.stage-2=false", "--set", "evaluation.metrics.questions=false")

HEAD = """
import sys
import torch
from dlmone.core import *
from dlmone.registry import hookimpl

@hookimpl
def register_{kind}(register):
    register("mine", f"{{__name__}}:Mine")

"""
OBJECTIVE = """
class Mine(Objective):
    def __init__(self, options): pass
    def requests(self, role): return () if role == "generator" else None
    def generator_loss(self, step): return Term(step.e_fake.flatten(1).mean(1), {})
"""


def loss(code: str) -> str:
    return OBJECTIVE.replace("return Term(step.e_fake.flatten(1).mean(1), {})", code)


OBJECTIVES = {
    "no arguments": (
        OBJECTIVE.replace("(self, options)", "(self)"),
        "Mine(options), as it is created, raised TypeError",
    ),
    "no class": ("def Mine(options): return None", "is no subclass of dlmone.core.Objective"),
    "another class": (
        "class Mine:\n    def __init__(self, options): pass",
        "is no subclass of dlmone.core.Objective",
    ),
    "no method": (
        "class Mine(Objective):\n    def __init__(self, options): pass",
        "lacks the method requests(), which dlmone.core.Objective requires",
    ),
    "a method without its argument": (
        OBJECTIVE.replace("generator_loss(self, step)", "generator_loss(self)"),
        "has generator_loss(self), which is called as generator_loss(self, step): ",
    ),
    "no method at all": (
        OBJECTIVE + "    observe = 3\n",
        "has observe = 3, where dlmone.core.Objective has a method",
    ),
    "raises when created": (
        OBJECTIVE.replace("options): pass", "options): 1 / 0"),
        "raised ZeroDivisionError",
    ),
    "exits when created": (
        OBJECTIVE.replace("options): pass", "options): sys.exit(0)"),
        "raised SystemExit: 0",
    ),
    "raises": (loss("1 / 0"), "in Mine.generator_loss(): ZeroDivisionError: division by zero"),
    "exits": (loss("sys.exit(0)"), "in Mine.generator_loss(): SystemExit: 0"),
    "no exception": (
        loss('raise type("Odd", (BaseException,), {})("odd")'),
        "in Mine.generator_loss(): Odd: odd",
    ),
    "None": (loss("return None"), "Mine.generator_loss() must return a Term, not None"),
    "a float": (loss("return 1.0"), "Mine.generator_loss() must return a Term, not 1.0"),
    "a string": (loss("return 'x'"), "Mine.generator_loss() must return a Term, not a str"),
    "a scalar loss": (
        loss("return Term(step.e_fake.mean(), {})"),
        "must return a Term with one loss per sample, of shape (4,), not float32 of shape ()",
    ),
    "a wrong shape": (loss("return Term(step.e_fake, {})"), "of shape (4,), not float32 of shape (4, "),
    "a float as loss": (loss("return Term(0.5, {})"), "of shape (4,), not 0.5"),
    "whole numbers": (
        loss("return Term(step.e_fake.flatten(1).mean(1).long(), {})"),
        "of shape (4,), not int64 of shape (4,)",
    ),
    "no gradient": (loss("return Term(step.e_fake.flatten(1).mean(1).detach(), {})"), "that has a gradient"),
    "nothing finite": (
        loss("return Term(step.e_fake.flatten(1).mean(1) * float('nan'), {})"),
        "no loss is finite",
    ),
    "logs no tensor": (
        loss("return Term(step.e_fake.flatten(1).mean(1), {'a': 1.0})"),
        "a Term with named tensors to log",
    ),
    "logs a scalar": (
        loss("return Term(step.e_fake.flatten(1).mean(1), {'a': step.e_fake.mean().detach()})"),
        "one value per sample in logged['a'], of shape (4,), not float32 of shape ()",
    ),
    "requests a string": (
        OBJECTIVE.replace('return () if role == "generator" else None', "return 'teacher'"),
        "Mine.requests() must return a sequence of Request, or None, not a str",
    ),
    "requests of no state": (
        OBJECTIVE.replace("return ()", "return (Request(TEACHER, 'noised'),)"),
        "Mine.requests() must return requests of a State, not a str",
    ),
    "no loss": (
        OBJECTIVE.replace("generator_loss", "generators_loss"),
        "Mine.requests() must return None for the generator, as there is no generator_loss(), not a tuple",
    ),
    "an auxiliary that is no module": (
        OBJECTIVE + "    auxiliaries = (Auxiliary('head', lambda teacher: 3),)\n",
        "Mine.head.new() must return an nn.Module, not 3",
    ),
    "two auxiliaries of one name": (
        OBJECTIVE + "    auxiliaries = tuple(Average('a', GENERATOR, rate) for rate in (0.9, 0.99))\n",
        "Mine.auxiliaries() must return networks of different names, not a list that begins with a str",
    ),
    "an auxiliary that is none": (
        OBJECTIVE + "    auxiliaries = (Average('a', GENERATOR, 0.9), 'x')\n",
        "Mine.auxiliaries() must return Auxiliary and Average networks, not a str",
    ),
    "an average of what is not there": (
        OBJECTIVE + "    auxiliaries = (Average('a', ESTIMATOR, 0.9),)\n",
        "Mine.auxiliaries() must return an Average of a network of this stage (generator), not a Network",
    ),
    "observes a string": (
        OBJECTIVE + "    def observe(self, role, means): return 'x'\n",
        "Mine.observe() must return named numbers, not a str",
    ),
}


def check(tmp_path: Path, kind: str, code: str, *args: str) -> str:
    """Return the last line of standard error of a check with a plugin of this code."""
    path = tmp_path / "odd.py"
    path.write_text(HEAD.format(kind=kind) + code)
    result = CliRunner().invoke(main, ["check", TINY, "--plugin", str(path), *SMALL, *args])
    last = result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert str(path) in last or "no loss is finite" in last
    assert len(last) < 1000
    assert result.exit_code == (2 if "no loss is finite" in last else 3), last
    return last


@pytest.mark.parametrize("name", OBJECTIVES)
def test_wrong_objectives(tmp_path, name):
    code, sentence = OBJECTIVES[name]
    use = "stages.stage-1.objectives={score={use='mine'}, adversarial=false}"
    assert sentence in check(tmp_path, "objectives", code, "--set", use)


def test_a_right_one_passes(tmp_path):
    path = tmp_path / "right.py"
    path.write_text(HEAD.format(kind="objectives") + OBJECTIVE)
    use = "stages.stage-1.objectives={score={use='mine'}, adversarial=false}"
    result = CliRunner().invoke(main, ["check", TINY, "--plugin", str(path), *SMALL, "--set", use])
    assert result.exit_code == 0, result.output


SCORES = """
class Mine(Evaluator):
    def __init__(self, options): pass
    def evaluate(self, samples): return {}
"""
SAMPLER = """
class Mine(Sampler):
    def __init__(self, options): pass
    def sample(self, network, space, batch, noise, steps, start=None, earlier=()): return {}
"""
DATA = """
class Mine(DataSource):
    def __init__(self, options): pass
    def split(self, name): return {}
"""
AUGMENTER = """
class Mine(Augmenter):
    def __init__(self, options): pass
    def augment(self, batch, space, noise): return {}
"""
METRIC, TEACHER_SAMPLER = "evaluation.metrics.odd.use=mine", "evaluation.teacher_sampler.use=mine"
STUDENT_SAMPLER = "evaluation.variants.odd.sampler.use=mine"
OTHERS = {
    "scores None": (
        "evaluators",
        SCORES.format("None"),
        METRIC,
        "Mine.evaluate() must return a list of Score, not None",
    ),
    "scores floats": (
        "evaluators",
        SCORES.format("[0.5]"),
        METRIC,
        "a list of Score, not a list that begins with 0.5",
    ),
    "scores a string": (
        "evaluators",
        SCORES.format("[Score('odd', 'high', 'odd', 'higher')]"),
        METRIC,
        "must return a number as odd, not a str",
    ),
    "an unknown direction": (
        "evaluators",
        SCORES.format("[Score('odd', 1.0, 'odd', 'up')]"),
        METRIC,
        "must return one of higher, lower, neither as the direction of odd, not a str",
    ),
    "too few values": (
        "evaluators",
        SCORES.format("[Score('odd', 1.0, 'odd', 'higher', (1.0,))]"),
        METRIC,
        "one value per sample, 4, as odd",
    ),
    "a metric that raises": (
        "evaluators",
        SCORES.format("samples.x"),
        METRIC,
        "in Mine.evaluate(): AttributeError",
    ),
    "a sampler of nothing": (
        "samplers",
        SAMPLER.format("None"),
        TEACHER_SAMPLER,
        "Mine.sample() must return (states of",
    ),
    "a sampler of one thing": (
        "samplers",
        SAMPLER.format("torch.zeros(3)"),
        STUDENT_SAMPLER,
        "Mine.sample() must return",
    ),
    "no examples": (
        "data",
        DATA.format("[]"),
        "data={use='mine'}",
        "Mine.split() must return the examples of 'train'",
    ),
    "no texts": (
        "data",
        DATA.format("[Example(1, 2, 3)]"),
        "data={use='mine'}",
        "must return examples of strings",
    ),
    "pairs": (
        "data",
        DATA.format("[('a', 'b')]"),
        "data={use='mine'}",
        "Mine.split() must return the examples",
    ),
    "no batch": (
        "augmenters",
        AUGMENTER.format("None"),
        "evaluation.variants.odd.augment.use=mine",
        "Mine.augment() must return a Batch of 1 rows, not None",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_wrong_plugins_of_other_kinds(tmp_path, name):
    kind, code, setting, sentence = OTHERS[name]
    assert sentence in check(tmp_path, kind, code, "--set", setting)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("class Odd(BaseException): pass\nraise Odd('at import')", "Odd: at import"),
        ("def f(:", "SyntaxError"),
        ("x = 1", "has no function marked @hookimpl"),
        ("\0", "null bytes"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path, code, sentence):
    path = tmp_path / "odd.py"
    path.write_text(code)
    for command in (["plugins", "list"], ["check", TINY], ["recipes", "show", "qqp", "--set", "seed=1"]):
        result = CliRunner().invoke(main, [*command, "--plugin", str(path)])
        assert sentence in result.output
        assert result.exit_code == (0 if command[0] == "plugins" else 3)
        assert "Traceback" not in result.output
