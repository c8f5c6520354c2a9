"""examples/flowchars: a teacher of another family, written outside dlmone, keeps every contract and runs."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Example, FlowSchedule, InputError, Noise, Sample, SampledGenerator, TimePoint
from dlmone.plugins.samplers.ddim import DDIM
from dlmone.plugins.samplers.options import DDIMOptions
from dlmone.testing import check_data_source, check_evaluator, check_teacher

EXAMPLE = Path(__file__).parents[2] / "examples" / "flowchars"
LINES = [
    Example(f"line-{i}", "", line)
    for i, line in enumerate(["pale clouds gather", "warm winds drift", "late frosts linger", "stars fade"])
]
#: The shortest run in which every part takes part.
TINY = f"""
extends = "{(EXAMPLE / "recipe.toml").as_posix()}"

[teacher]
width = 32
layers = 1
pretrain = {{ steps = 6, batch = 8, validation = {{ every = 6, examples = 8 }}, validation_steps = 2 }}

[stages]
stage-1 = {{ steps = 4, batch = 8, validation = {{ every = 4, examples = 8 }} }}
stage-2 = {{ steps = 4, batch = 8, validation = {{ every = 4, examples = 8 }} }}

[evaluation]
examples = 8
teacher_steps = [1, 4]
student_steps = [1, 2]
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))


def new_teacher(seed: int = 0, **options: Any) -> Any:
    from flowchars.options import FlowCharsOptions
    from flowchars.teacher import FlowChars

    torch.manual_seed(seed)
    return FlowChars.build(FlowCharsOptions(**({"width": 16, "layers": 1} | options)), LINES)


def samples(texts: Sequence[str]) -> list[Sample]:
    return [Sample(str(i), "", "", (text,)) for i, text in enumerate(texts)]


# -- contracts -----------------------------------------------------------------------------------------


def test_the_teacher_keeps_its_contracts() -> None:
    # Letters are read back by a trained layer: an untrained one does not invert embed().
    check_teacher(new_teacher, LINES, invertible=False)


def test_the_data_source_keeps_its_contract() -> None:
    from flowchars.data import WeatherLines

    check_data_source(WeatherLines(None))


def test_the_evaluator_keeps_its_contract() -> None:
    from flowchars.evaluator import WeatherScores

    check_evaluator(WeatherScores(None), samples(["pale clouds gather", "pale clouds gather", "pail", ""]))


# -- flow matching -------------------------------------------------------------------------------------


def test_the_velocity_is_the_derivative_of_the_path() -> None:
    schedule, generator = FlowSchedule(), torch.Generator().manual_seed(0)
    e, epsilon = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    t_B, h = torch.linspace(0.1, 0.9, 5, dtype=torch.float64), 1e-3
    moved = schedule.diffuse(e, t_B + h, epsilon) - schedule.diffuse(e, t_B, epsilon)
    torch.testing.assert_close(moved / h, epsilon - e)


def test_the_true_velocity_gives_the_clean_state_at_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = new_teacher()
    batch, schedule = teacher.space.collate(LINES), teacher.space.schedule
    e = teacher.space.embed(batch)
    epsilon = torch.randn(e.shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(teacher.network, "velocity", lambda hidden: epsilon - e)
    for time in (schedule.min_time, 0.5, schedule.max_time):
        t_B = schedule.tensor(time, len(batch))
        x0 = teacher.network.denoise(schedule.diffuse(e, t_B, epsilon), t_B, batch).x0
        torch.testing.assert_close(x0, e, atol=1e-5, rtol=0)


class Exact(nn.Module):
    """The optimum for data that is −1 or 1: E[ε − e | e_t], with E[e | e_t] = tanh(α·e_t/σ²)."""

    def __init__(self, error: float = 0.0) -> None:
        super().__init__()
        self.error = error

    def hidden(self, e_t: Tensor, t_B: Tensor) -> Tensor:
        t = t_B.view(-1, 1, 1).float()
        return (e_t - torch.tanh((1 - t) * e_t / t**2)) / t

    def velocity(self, hidden: Tensor) -> Tensor:
        return hidden + self.error


def one_dimensional() -> tuple[Any, Any]:
    """Return a teacher of one letter with a code of one number, and a batch of all it can write, evenly."""
    teacher = new_teacher(words=1, letters=1, code=1)
    space = type(teacher.space)("a", 1, 1, 1, 1.0)
    space.codes_VC.copy_(torch.tensor([[-1.0], [1.0]]))
    teacher.space = space
    return teacher, space.collate([Example(str(i), "", "a" * (i % 2)) for i in range(8192)])


def test_the_loss_is_least_at_the_exact_optimum() -> None:
    teacher, batch = one_dimensional()
    noise = Noise([(0, id) for id in batch.ids])

    def flow(error: float) -> float:
        teacher.network = Exact(error)
        return float(teacher.training_loss(batch, noise).logged["flow"].double().mean())

    # A mean squared error grows by δ² when the conditional mean is missed by δ, on either side.
    for error in (-0.2, 0.2):
        assert flow(error) - flow(0) == pytest.approx(error**2, abs=0.015)


def test_ddim_follows_the_exact_flow_to_the_data() -> None:
    teacher, batch = one_dimensional()

    class Oracle(type(teacher.network)):  # type: ignore[misc]
        hidden, velocity, error = Exact.hidden, Exact.velocity, 0.0

    network = Oracle(teacher.space.schedule, 1, 1, 4, 1)
    generator = SampledGenerator(network, teacher.space, DDIM(DDIMOptions()))
    rows = batch[:1024]
    state = generator.generate(rows, Noise([(1, id) for id in rows.ids]), steps=32).state
    assert state is not None
    assert ((state.abs() - 1).abs() < 0.05).float().mean() > 0.98
    assert (state > 0).float().mean() == pytest.approx(0.5, abs=0.05)


def test_times_are_named_by_ratio_and_by_quantile() -> None:
    schedule = FlowSchedule()
    assert schedule.resolve(TimePoint(ratio=2.5)) == pytest.approx(2.5 / 3.5)
    assert schedule.resolve(TimePoint(quantile=0.98)) == pytest.approx(0.001 + 0.98 * 0.999)
    assert schedule.resolve(TimePoint(quantile=1.0)) == 1.0
    with pytest.raises(InputError, match="trained range"):
        schedule.resolve(TimePoint(ratio=1e-4), "t_min")


# -- the space -----------------------------------------------------------------------------------------


def test_a_state_row_is_a_word() -> None:
    space = new_teacher().space
    batch = space.collate(LINES)
    assert space.state_shape == (3, 8 * 8)
    assert batch.tokens_BL.shape == (4, 24)
    assert space.text(batch.tokens_BL, batch) == [line.target for line in LINES]
    e = space.embed(batch)
    # "stars fade" has no third word, and the codes all have one length.
    torch.testing.assert_close(e.square().sum((1, 2)), torch.full((4,), 24 * 4.0**2))


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("sky", "pale clouds", "has a source"),
        ("", "pale late warm stars", "longer than 3 words of 8 letters"),
        ("", "starsstars", "longer than"),
        ("", "pale quiz", "the letter 'q'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(source: str, target: str, reason: str) -> None:
    with pytest.raises(InputError, match=rf"example sky-7.*{reason}"):
        new_teacher().space.collate([Example("sky-7", source, target)])


# -- corpus and scores ---------------------------------------------------------------------------------


def test_the_corpus_fits_and_its_splits_are_apart() -> None:
    from flowchars.corpus import COLUMNS, WORDS, is_line
    from flowchars.data import WeatherLines
    from flowchars.options import FlowCharsOptions

    source = WeatherLines(None)
    splits = [{e.target for e in source.split(name)} for name in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [3584, 256, 256]
    assert len(set.union(*splits)) == 4096
    assert {word for line in splits[0] for word in line.split()} == WORDS
    assert sum(map(len, COLUMNS)) == len(WORDS) == 48
    assert max(map(len, WORDS)) <= FlowCharsOptions().letters
    assert is_line("pale clouds gather")
    assert not any(map(is_line, ("clouds pale gather", "pale clouds", "pale clouds gather fade", "")))


@pytest.mark.parametrize(
    ("texts", "scores"),
    [
        (["pale clouds gather", "late winds drift"], (1, 1, 1, 1)),
        (["pale clouds gather"] * 4, (1, 1, 1 / 4, 1 / 4)),
        (["xq", "zzz", "pa", ""], (0, 0, 1, 0)),
        (["pale cluds gather", "clouds pale"], (5 / 6, 0, 1, 0)),
    ],
    ids=["right", "collapsed", "noise", "nearly"],
)
def test_the_scores_tell_collapse_from_noise(texts: list[str], scores: tuple[float, ...]) -> None:
    from flowchars.evaluator import WeatherScores

    found = {score.name: score.value for score in WeatherScores(None).evaluate(samples(texts))}
    names = ("valid_words", "valid_lines", "distinct", "distinct_valid")
    assert found == pytest.approx(dict(zip(names, scores, strict=True)))


# -- installed -----------------------------------------------------------------------------------------


@pytest.fixture
def environment(installed: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return installed(EXAMPLE)


def python(code: str, *arguments: object, env: dict[str, str]) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_found_through_its_entry_point(environment: dict[str, str]) -> None:
    code = """
import json, sys
from dlmone.registry import Registry, load_recipe

registry = Registry.discover()
found = {kind: registry.entry(kind, name).distribution
         for kind, name in (("teachers", "flowchars"), ("data", "weather"), ("evaluators", "weather"))}
options = {profile: load_recipe(sys.argv[1], registry=registry, profile=profile).recipe.teacher.options
           for profile in (None, "quick")}
assert "torch" not in sys.modules, "listing plugins and checking a recipe must not import torch"
print(json.dumps([found, list(options.values())]))
"""
    found, options = json.loads(python(code, EXAMPLE / "recipe.toml", env=environment))
    assert set(found.values()) == {"dlmone-flowchars"}
    assert all(chosen["norm"] == 4.0 for chosen in options)


def test_it_is_pretrained_distilled_and_loaded(environment: dict[str, str], tmp_path: Path) -> None:
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(TINY)
    python(
        "from dlmone.cli import main; main()", "run", recipe, "--run-dir", run, "--no-report", env=environment
    )
    rows = json.loads((run / "report" / "results.json").read_text())["rows"]
    calls = {(row["model"], row["calls"]) for row in rows}
    assert {("teacher", 1), ("teacher", 4), ("student, stage-1", 1), ("student, stage-2", 2)} <= calls
    load = "import dlmone, sys; print(dlmone.load(sys.argv[1]).generator.space.state_shape)"
    assert python(load, run / "student", env=environment).strip() == "(3, 64)"
