"""dlmone bench: parts that add up, extrapolated rows that say so, the schema, and mistakes."""

import json
import time
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from dlmone.benchmark.results import BenchResults
from dlmone.benchmark.stopwatch import PARTS, Stopwatch
from dlmone.benchmark.timing import Plan, Subject, bench, count_runs, ratios
from dlmone.cli import main
from dlmone.core import Example, InputError, Noise, SampledGenerator
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.runtime.device import Compute
from dlmone.runtime.memory import peak_memory

OPTIONS = DiffuSeqOptions(
    seq_len=16, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
)
TEXTS = ("what is it ?", "how is it ?")
CPU = Compute.start(ComputeTable(device="cpu", precision="float32"))


def tiny_teacher():
    torch.manual_seed(0)
    return DiffuSeqTeacher.build(OPTIONS, [Example("0", TEXTS[0], TEXTS[1])]).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def subjects():
    teacher = tiny_teacher()
    writer = SampledGenerator(teacher.network, teacher.space, DDIM(DDIMOptions()))
    return [
        Subject("student", teacher.new_generator(1490).eval(), "random"),
        Subject("teacher", writer.eval(), "random"),
    ]


@pytest.fixture(scope="module")
def run_dir(run_of):
    return run_of(tiny_teacher())


def command(*args):
    return CliRunner().invoke(main, ["bench", *map(str, args)])


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_the_parts_add_up(subjects, clock):
    plan = Plan(TEXTS, steps=(1, 2), batches=(1, 3), runs=4, clock=clock)
    counted = []
    rows = bench(subjects, CPU, plan, counted.append)
    assert sum(counted) == count_runs(subjects, plan) == 2 * 2 * 2 * (1 + 4)
    assert [(row.model, row.batch, row.calls) for row in rows] == [
        (name, batch, steps) for name in ("student", "teacher") for batch in (1, 3) for steps in (1, 2)
    ]
    for row in rows:
        whole = row.wall if clock == "wall" else row.cpu
        assert tuple(row.parts) == PARTS
        assert sum(row.parts.values()) == pytest.approx(whole.mean)
        assert min(row.parts[part] for part in ("tokenise", "network", "rounding", "detokenise")) > 0
        assert whole.min <= whole.median <= whole.max
        assert row.overhead.min > 1
        assert (row.runs, row.extrapolated_from) == (4, None)


def test_however_a_model_names_tokens_it_is_rounding():
    generator = tiny_teacher().new_generator(1490).eval()
    space, batch = generator.space, generator.space.collate([Example("0", TEXTS[0], "")])

    def run():
        tokens_BL = generator.generate(batch, Noise([(0, "0", 0)]), 1).tokens_BL
        time.sleep(0.05)
        space.text(tokens_BL, batch)

    with Stopwatch(generator, "wall", CPU.device) as watch:
        parts = watch.lap(run).parts
        assert parts["rounding"] >= 0.05
        assert watch.lap(lambda: space.text(batch.tokens_BL, batch)).parts["rounding"] == 0


def test_a_stopwatch_leaves_no_trace(subjects):
    generator = subjects[0].generator
    before = dict(vars(generator.space)), dict(vars(generator.network))
    with Stopwatch(generator, "wall", CPU.device) as watch, pytest.raises(ZeroDivisionError):
        watch.lap(lambda: 1 // 0)
    assert (dict(vars(generator.space)), dict(vars(generator.network))) == before


def test_long_rows_are_extended_from_the_two_longest_and_say_so(subjects):
    plan = Plan(TEXTS, steps=(1, 2, 4, 2000), runs=2, extrapolate=True)
    rows = bench(subjects[1:], CPU, plan)
    *_, two, four, long = rows
    assert (long.runs, long.calls, long.extrapolated_from, long.parts) == (0, 2000, (2, 4), {})
    slope = (four.wall.median - two.wall.median) / 2
    assert long.wall.median == pytest.approx(four.wall.median + 1996 * slope)
    assert [one.extrapolated for one in ratios(rows, "wall")] == [False, False, False, True]
    with pytest.raises(InputError, match="up to 100 as well, as in --steps 2,4,2000"):
        bench(subjects[1:], CPU, replace(plan, steps=(1, 2000)))


def test_three_runs_above_a_hundred_steps(subjects):
    plan = Plan(TEXTS, steps=(1, 101))
    assert count_runs(subjects[:1], plan) == (1 + 100) + (1 + 3)


def test_ratios_take_the_faster_precision(subjects):
    rows = bench(subjects, CPU, Plan(TEXTS, steps=(1, 2), precisions=("float32", "bfloat16"), runs=2))
    assert {row.precision for row in rows} == {"float32", "bfloat16"}
    found = ratios(rows, "wall")
    assert [(one.model, one.calls) for one in found] == [
        (name, calls) for name in ("student", "teacher") for calls in (1, 2)
    ]
    assert min(one.times for one in found) == 1
    for one in found:
        medians = [row.wall.median for row in rows if (row.model, row.calls) == (one.model, one.calls)]
        fastest = min(row.wall.median for row in rows)
        assert one.times == pytest.approx(min(medians) / fastest)


def test_peak_memory_sees_what_a_run_takes():
    taken = peak_memory(lambda: torch.ones(2**24), torch.device("cpu"))
    if taken is None:
        pytest.skip("this system does not tell")
    assert taken >= 0.9 * 4 * 2**24


def test_json_of_a_run_directory_beside_a_baseline(run_dir):
    rival = "gpt2:max_tokens=1,max_source=64"
    arguments = ("--steps", 1, "--runs", 1, "--against", rival, "--device", "cpu")
    answer = command(run_dir, run_dir / "teacher", *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    results = BenchResults.model_validate_json(answer.stdout)
    assert json.loads(answer.stdout)["format"] == "dlmone.bench/1"
    assert [row.model for row in results.rows] == [str(run_dir), str(run_dir / "teacher"), rival]
    assert "noise" in results.rows[2].weights
    assert results.machine.threads == torch.get_num_threads()
    assert len(results.ratios) == 3


def test_the_shape_of_a_recipe(tmp_path):
    shape = ["width=16", "layers=1", "heads=2", "hidden_dim=8", "hidden_t_dim=8"]
    settings = [word for one in shape for word in ("--set", f"teacher.{one}")]
    answer = command("qqp", *settings, "--steps", "1,2,2000", "--runs", 1, "--extrapolate", "--device", "cpu")
    assert answer.exit_code == 0, answer.output
    assert "qqp quick student" in answer.stdout
    assert "qqp quick teacher: random weights" in answer.stdout
    assert "2000 calls: not run, on the line through 1 and 2" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        (("nowhere",), "nowhere: there is no such model folder", 2),
        (("qqp", "--profile", "quik"), "did you mean 'quick'", 2),
        (("RUN", "--profile", "quick"), "belong to a recipe", 2),
        (
            ("RUN", "--steps", "1,x"),
            "expected whole numbers from 1 to 10,000, as in 1,2,4, found '1,x'",
            2,
        ),
        (("RUN", "--steps", "0"), "expected whole numbers from 1", 2),
        (("RUN", "--batch", ""), "expected whole numbers from 1 to 1,000,000", 2),
        (("RUN", "--sampler", "nope"), "--sampler: there is no sampler 'nope'", 3),
        (("qqp", "--sampler", "dimd"), "--sampler: there is no sampler 'dimd'; did you mean 'ddim'?", 3),
        (("RUN", "--sampler", "ddim:2"), "--sampler ddim.eta: expected a number less than or equal to 1", 2),
        (("RUN", "--precision", "float16"), "expected auto, float32, bfloat16, found 'float16'", 2),
        (("RUN", "--against", "gpt3"), "there is no generator 'gpt3'; did you mean 'gpt2'", 3),
        (("RUN", "--against", "gpt2:max_token=4"), "max_tokens", 2),
        (("RUN", "--against", "gpt2:size"), "expected key=value, found 'size'", 2),
        (("RUN", "--device", "tpu"), "there is no device 'tpu'", 2),
        ((), "Missing argument", 2),
    ],
)
def test_mistakes(run_dir, arguments, sentence, code):
    answer = command(*(str(run_dir) if word == "RUN" else word for word in arguments))
    assert (answer.exit_code, sentence in answer.stderr) == (code, True), answer.stderr
    assert "Traceback" not in answer.stderr
