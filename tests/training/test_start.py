"""A stage that starts from a saved student: it begins with its weights, or is refused before any training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from dlmone.cli import main
from dlmone.training.saving.checkpoint import load_latest, unpack

TINY = Path(__file__).parents[1] / "tiny.toml"
#: A student of a few steps, whose rates are too small to move it far.
SMALL = (
    "teacher.pretrain.steps=2",
    "stages.stage-2=false",
    "stages.stage-1.steps=2",
    "stages.stage-1.checkpoint_every=1",
    "evaluation.examples=2",
    "evaluation.candidates=1",
    "evaluation.teacher_steps=[1]",
    "evaluation.student_steps=[1]",
    "stages.*.validation.examples=2",
    "teacher.pretrain.validation.examples=2",
)

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    cache = tmp_path_factory.mktemp("cache")

    def run(folder: Path, *settings: str, resume: bool = False, recipe: Path = TINY) -> Result:
        words = ["run", str(recipe), "--run-dir", str(folder), "--device", "cpu", "--no-report"]
        words += ["--resume"] if resume else []
        # A teacher that is loaded is not pretrained.
        loaded = any(setting.startswith("teacher.path") for setting in settings)
        small = [setting for setting in SMALL if not (loaded and setting.startswith("teacher."))]
        words += [word for setting in (*small, *settings) for word in ("--set", setting)]
        return CliRunner().invoke(main, words, env={"DLMONE_CACHE": str(cache)})

    return run


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A finished run with a student."""
    path = tmp_path_factory.mktemp("first") / "run"
    answer = command(path)
    assert answer.exit_code == 0, answer.output
    return path


def of(run: Path) -> tuple[str, ...]:
    """Return settings that take up the teacher and the student of a run."""
    return f"teacher.path={run / 'teacher'}", f"stages.stage-1.start={run}"


def test_a_stage_starts_with_the_weights_of_a_saved_student(
    first: Path, tmp_path: Path, command: Command
) -> None:
    # One step at a rate of nothing: what the stage began with is what it ends with.
    answer = command(
        tmp_path / "run", *of(first), "stages.stage-1.generator.lr=1e-30", "stages.stage-1.steps=1"
    )
    assert answer.exit_code == 0, answer.output
    began = load_file(first / "student" / "model.safetensors")
    checkpoint = load_latest(tmp_path / "run" / "stage-1" / "checkpoints")
    assert checkpoint is not None
    found = unpack(checkpoint.tensors, "generator")
    assert all(torch.equal(value, began[f"network.{name}"]) for name, value in found.items())
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())["models"]
    assert set(manifest) == {"teacher.path", "stages.stage-1.start"}
    assert manifest["stages.stage-1.start"]["path"] == str(first / "student")
    assert len(manifest["stages.stage-1.start"]["sha256"]) == 12


def test_an_exported_student_is_a_start_too_and_a_run_goes_on_only_from_the_one_it_began_from(
    first: Path, tmp_path: Path, command: Command
) -> None:
    """Its embedding is rounded to bfloat16."""
    student, run = tmp_path / "small", tmp_path / "run"
    exported = CliRunner().invoke(main, ["export", str(first), str(student)])
    assert exported.exit_code == 0, exported.output
    settings = (*of(first)[:1], f"stages.stage-1.start={student}")
    answer = command(run, *settings)
    assert answer.exit_code == 0, answer.output
    change(student, lambda name, value: 2 * value if name.startswith("network.") else value)
    answer = command(run, *settings, resume=True)
    assert answer.exit_code == 2
    assert f"stages.stage-1.start: {student} is not the model that this run began from" in answer.stderr


def change(student: Path, by: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
    path = student / "model.safetensors"
    tensors = {name: by(name, value) for name, value in load_file(path).items()}
    config = (student / "config.json").read_text()
    save_file(tensors, path, metadata={"config": config})


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ("previos", 'expected "teacher" or "previous" or a saved student'),
        ("nowhere/at/all", "there is no such model folder"),
        ("{first}/teacher", "holds a teacher, where a student was expected"),
    ],
)
def test_what_is_no_student_is_refused(
    first: Path, tmp_path: Path, command: Command, start: str, sentence: str
) -> None:
    answer = command(tmp_path / "run", f"stages.stage-1.start={start.format(first=first)}")
    refused(answer, tmp_path / "run", sentence)


def test_a_student_of_another_family_is_refused(first: Path, tmp_path: Path, command: Command) -> None:
    student = tmp_path / "student"
    shutil.copytree(first / "student", student)
    config = json.loads((student / "config.json").read_text()) | {"teacher": "langflow"}
    (student / "config.json").write_text(json.dumps(config))
    answer = command(tmp_path / "run", f"stages.stage-1.start={student}")
    refused(answer, tmp_path / "run", "is a student of the family 'langflow'")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("teacher.width=16",), "does not fit a student of this teacher: "),
        (("teacher.noise_schedule=linear",), "its noise schedule differs"),
        (("data.train=3000",), "is a student of another teacher: its tokenizer.json differs"),
        (("seed=1",), "give the folder of the student's teacher as teacher.path"),
    ],
    ids=["width", "schedule", "tokenizer", "space"],
)
def test_a_student_that_a_teacher_to_be_pretrained_does_not_fit_is_refused(
    first: Path, tmp_path: Path, command: Command, settings: tuple[str, ...], sentence: str
) -> None:
    answer = command(tmp_path / "run", f"stages.stage-1.start={first}", *settings)
    refused(answer, tmp_path / "run", sentence)


def test_a_student_of_another_space_is_refused(first: Path, tmp_path: Path, command: Command) -> None:
    student = tmp_path / "student"
    shutil.copytree(first / "student", student)
    change(student, lambda name, value: 1.1 * value if name.startswith("space.") else value)
    settings = (*of(first)[:1], f"stages.stage-1.start={student}")
    answer = command(tmp_path / "run", *settings)
    refused(answer, tmp_path / "run", "is a student of another teacher: its space's ")


def refused(answer: Result, run: Path, sentence: str) -> None:
    """Require one sentence, no traceback, and nothing trained."""
    assert answer.exit_code == 2, answer.output
    assert "stages.stage-1.start: " in answer.stderr
    assert sentence in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr
    assert not list(run.glob("*/checkpoints"))
    assert not (run / "metrics.jsonl").exists()
