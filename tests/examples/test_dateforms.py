"""examples/dateforms: an encoder-decoder teacher, written outside dlmone, keeps every contract and runs."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dlmone.core import TEACHER, InputError, Noise, Noised, Request, Sample, StepContext, UniformTimes
from dlmone.testing import check_data_source, check_evaluator, check_teacher

EXAMPLE = Path(__file__).parents[2] / "examples" / "dateforms"
#: The shortest run in which every part takes part.
TINY = f"""
extends = "{(EXAMPLE / "recipe.toml").as_posix()}"

[teacher]
width = 16
heads = 2
pretrain = {{ steps = 6, batch = 8, validation = {{ every = 6, examples = 8 }}, validation_steps = 2 }}

[stages]
stage-1 = {{ steps = 4, batch = 8, validation = {{ every = 4, examples = 8 }} }}

[evaluation]
examples = 8
candidates = 2
teacher_steps = [1, 4]
student_steps = [1, 2]
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))


def dates(split: str = "valid", count: int = 4) -> list[Any]:
    from dateforms.data import Dates

    return list(Dates(None).split(split)[:count])


def new_teacher(seed: int = 0, **options: Any) -> Any:
    from dateforms.options import DateFormsOptions
    from dateforms.teacher import DateForms

    torch.manual_seed(seed)
    sizes = {"width": 16, "state": 8, "heads": 2} | options
    return DateForms.build(DateFormsOptions(**sizes), dates())


# -- contracts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"self_conditioning": 0.0}, {"no_condition": 0.0}])
def test_the_teacher_keeps_its_contracts(options: dict[str, float]) -> None:
    check_teacher(lambda: new_teacher(**options), dates())


def test_the_data_source_keeps_its_contract() -> None:
    from dateforms.data import Dates

    check_data_source(Dates(None))


def test_the_evaluator_keeps_its_contract() -> None:
    from dateforms.evaluator import DateScores

    texts = ("7 march 2024", "the 7th of march 2024", "8 march 2024", "")
    check_evaluator(
        DateScores(None), [Sample("a", "2024-03-07", "", texts), Sample("b", "1999-12-01", "", texts)]
    )


# -- the corpus and its scores -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "form"),
    [
        ("2024-03-07", "the 7th of march 2024"),
        ("1970-01-01", "january 1st 1970"),
        ("1999-12-11", "11th december 1999"),
        ("1999-12-12", "december the 12th of 1999"),
        ("1999-12-13", "13 dec. 1999"),
        ("1999-12-22", "22nd december 1999"),
        ("1999-12-23", "dec. 23 1999"),
    ],
)
def test_a_date_is_written_in_eight_forms(date: str, form: str) -> None:
    from dateforms.forms import written

    assert form in written(date)
    assert len(set(written(date))) == 8


def test_the_splits_are_apart_and_use_all_forms() -> None:
    from dateforms.data import Dates
    from dateforms.forms import FORMS, written

    splits = [{example.source for example in Dates(None).split(name)} for name in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [16128, 2016, 2016]
    assert len(set.union(*splits)) == 20160
    used = [written(example.source).index(example.target) for example in Dates(None).split("train")]
    counts = [used.count(form) for form in range(len(FORMS))]
    assert min(counts) > 0.9 * max(counts)


@pytest.mark.parametrize(
    ("texts", "scores"),
    [
        (["7 march 2024", "march 7 2024"], (1, 1)),
        (["7 march 2024", "7 march 2024"], (1, 0.5)),
        (["7 march 2024", "8 march 2024"], (0.5, 0.5)),
        (["7 7 2024", ""], (0, 0)),
    ],
    ids=["right", "one form", "wrong day", "noise"],
)
def test_the_scores_tell_one_form_from_wrong_dates(texts: list[str], scores: tuple[float, float]) -> None:
    from dateforms.evaluator import DateScores

    [faithful, forms] = DateScores(None).evaluate([Sample("a", "2024-03-07", "", tuple(texts))])
    assert (faithful.value, forms.value) == scores


@pytest.mark.parametrize("source", ["7 march 2024", "2024-03", "2024-03-07-01", "2024-13-07", ""])
def test_what_is_no_date_is_refused_by_name(source: str) -> None:
    from dlmone.core import Example

    with pytest.raises(InputError, match="example date-9"):
        new_teacher().space.collate([Example("date-9", source, "")])


# -- the condition -------------------------------------------------------------------------------------


def test_the_encoder_runs_once_for_a_batch_however_many_passes_are_made() -> None:
    teacher = new_teacher().requires_grad_(False).eval()
    runs: list[int] = []
    teacher.space.encoder.register_forward_hook(lambda *_: runs.append(1))
    batch = teacher.space.collate(dates())
    noise = Noise([(0, id) for id in batch.ids])
    requests = [Request(TEACHER, Noised()), Request(TEACHER, Noised(), guidance=2.0)]
    generator = teacher.new_generator(0.9)
    networks: Any = {TEACHER: teacher.network}
    step = StepContext(
        "estimator",
        teacher.space,
        networks,
        requests,
        batch,
        noise,
        UniformTimes(0.1, 0.9),
        lambda: batch,
        noise,
    )
    step.e_fake = generator.one_step(step.fake, step.z)
    plain, guided = (step[request].x0 for request in requests)
    assert len(runs) == 2, "the source, and for guidance the null source"
    assert not torch.allclose(plain, guided)


def test_the_encoder_is_trained_with_the_teacher_and_frozen_in_its_students() -> None:
    teacher = new_teacher()
    batch = teacher.space.collate(dates())
    teacher.training_loss(batch, Noise([(0, id) for id in batch.ids])).loss_B.sum().backward()
    trained = {name for name, parameter in teacher.named_parameters() if parameter.grad is not None}
    assert {"space.encoder.linear1.weight", "space.source_table.weight", "space.raw_rows"} <= trained
    assert {"space.schedule.bins", "space.schedule.log_height"} <= trained
    student = teacher.new_generator(0.9)
    assert student.network.space is teacher.space


def test_what_is_trained_without_a_source_has_the_null_source() -> None:
    teacher = new_teacher(no_condition=1.0)
    batch = teacher.space.collate(dates())
    null = teacher.space.null_condition(batch)
    noise = Noise([(0, id) for id in batch.ids])
    [a, b] = (teacher.training_loss(one, noise).logged["cross_entropy"] for one in (batch, null))
    assert torch.equal(a, b)


# -- the learned schedule ------------------------------------------------------------------------------


def test_time_is_the_share_of_the_loss_below_a_noise_level() -> None:
    from dateforms.schedule import LearnedSchedule

    schedule = LearnedSchedule()
    with torch.no_grad():
        schedule.bins.copy_(torch.linspace(-1, 2, len(schedule.bins)).sin())
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    gamma = schedule.gamma(t)
    assert (gamma[0], gamma[-1]) == (-8, 8)
    assert bool((gamma.diff() > 0).all())
    share = schedule.expected_loss(gamma.float()).detach() / schedule.log_height.detach().exp()
    torch.testing.assert_close(share.double(), t, atol=1e-4, rtol=0)
    assert schedule.time_of_ratio(float(schedule.ratio(t[30:31]))) == pytest.approx(0.3, abs=1e-4)


def test_the_schedule_finds_where_the_loss_rises() -> None:
    from dateforms.schedule import LearnedSchedule

    schedule = LearnedSchedule()
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.1)
    gamma_B = torch.linspace(-8, 8, 400)
    loss_B = 2 * torch.sigmoid(2 * (gamma_B - 1))
    for _ in range(300):
        optimizer.zero_grad()
        ((schedule.expected_loss(gamma_B) - loss_B) ** 2).mean().backward()
        optimizer.step()
    gammas = schedule.gamma(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    # sigmoid(2·(γ − 1)) is a quarter at γ = 1 − ln(3)/2.
    torch.testing.assert_close(
        gammas, torch.tensor([0.451, 1.0, 1.549], dtype=torch.float64), atol=0.1, rtol=0
    )


# -- installed -----------------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    """Return the commands of the tutorial that begin with ``dlmone``, as their arguments."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^dlmone ((?:run|check|generate) [^#\n]+)", text, re.MULTILINE)
    return [line.split() for line in lines]


@pytest.mark.slow
def test_the_tutorials_commands_run(installed: Callable[[Path], dict[str, str]], tmp_path: Path) -> None:
    """Every command, with the smallest recipe in the place of the example's."""
    environment = installed(EXAMPLE)
    tiny = tmp_path / "tiny.toml"
    tiny.write_text(TINY)
    made: list[str] = []
    for arguments in commands():
        arguments = [str(tiny) if part.endswith("recipe.toml") else part for part in arguments]
        if "--profile" in arguments:  # the tiny recipe is small enough
            at = arguments.index("--profile")
            del arguments[at : at + 2]
        if arguments[0] == "run":
            arguments += ["--no-report"] if made else []  # one page shows that there is one
            made.append(str(tmp_path / f"run-{len(made)}"))
            arguments += ["--run-dir", made[-1]]
        arguments = [made[-1] if part == "runs/dateforms-1" else part for part in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "dlmone", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
        )
        assert done.returncode == 0, (arguments, done.stderr)
    rows = json.loads((Path(made[0]) / "report" / "results.json").read_text())["rows"]
    calls = {(row["model"], row["calls"]) for row in rows}
    assert len(made) == 3
    assert (Path(made[0]) / "report" / "index.html").is_file()
    assert {("teacher", 1), ("teacher", 4), ("student, stage-1", 1), ("student, stage-1", 2)} <= calls
