"""A student smaller than its teacher: its first weights, a whole run of it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from dlmone.cli import main
from dlmone.core import InputError, Noise
from dlmone.models.folder import load_student
from dlmone.models.student import new_student
from dlmone.plugins.bert.smaller import copy_first
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.registry import Registry
from dlmone.testing import toy_teacher
from dlmone.testing.steps import perturbed
from dlmone.testing.toy import EXAMPLES
from dlmone.training.saving.checkpoint import load_latest

TINY = Path(__file__).parents[1] / "tiny.toml"
SIZES = {"seq_len": 24, "hidden_dim": 8, "hidden_t_dim": 8, "width": 16, "layers": 3, "heads": 4}


def diffuseq(**changes: Any) -> DiffuSeqTeacher:
    torch.manual_seed(0)
    options = DiffuSeqOptions.model_validate({**SIZES, "tokenizer": "words", **changes})
    return DiffuSeqTeacher.build(options, EXAMPLES).eval()


def langflow(**changes: Any) -> LangFlowTeacher:
    torch.manual_seed(0)
    sizes = {"length": 24, "width": 16, "condition": 8, "layers": 3, "heads": 2, "tokenizer": "words"}
    options = LangFlowOptions.model_validate({**sizes, "conditional": True, **changes})
    teacher = LangFlowTeacher.build(options, EXAMPLES).eval()
    perturbed(teacher.network, seed=0)  # its gates start closed
    return teacher


def generated(teacher: Any, size: dict[str, int]) -> Tensor:
    batch = teacher.space.collate(EXAMPLES)
    student = new_student(teacher, teacher.space.schedule.time_of_quantile(0.75), False, size).eval()
    state = student.generate(batch, Noise([(0, id) for id in batch.ids]), 2).state
    assert state is not None
    return state


@pytest.mark.parametrize("teacher", [diffuseq(), langflow(), langflow(encoder_width=16)], ids=["d", "l", "e"])
def test_all_layers_are_the_teacher_and_fewer_are_its_first(teacher: Any) -> None:
    whole = generated(teacher, {})
    assert torch.equal(generated(teacher, {"layers": 3}), whole)
    assert not torch.equal(generated(teacher, {"layers": 2}), whole)
    own, phi = teacher.smaller_network(layers=2).state_dict(), teacher.network.state_dict()
    assert all(torch.equal(value, phi[name]) for name, value in own.items())
    left = {name.split(".layer.")[-1][0] for name in phi.keys() - own.keys() if ".layer." in name}
    assert left <= {"2"}
    assert len(own) < len(phi)


def test_a_narrower_network_works_on_the_first_coordinates() -> None:
    teacher = diffuseq()
    own = teacher.smaller_network(layers=1, width=12)
    phi = teacher.network.state_dict()
    assert own.input_transformers.layer[0].attention["self"].heads == 3
    for name, value in own.state_dict().items():
        assert torch.equal(value, phi[name][tuple(slice(size) for size in value.shape)]), name
    assert own.input_up_proj[2].weight.shape == (12, 12)
    assert own.output_down_proj[2].weight.shape == (8, 12)


def test_a_map_that_the_teacher_lacks_starts_as_the_truncated_identity() -> None:
    teacher = diffuseq(hidden_dim=16)
    assert teacher.network.input_up_proj is None
    own = teacher.smaller_network(width=8)
    assert torch.equal(own.input_up_proj[0].weight, torch.eye(8, 16))
    assert torch.equal(own.output_down_proj[2].weight, torch.eye(16, 8))
    assert not own.input_up_proj[0].bias.any()
    small, large = torch.nn.Linear(2, 3), torch.nn.Linear(4, 5)
    copy_first(small, large)
    assert torch.equal(small.weight, large.weight[:3, :2])
    assert torch.equal(small.bias, large.bias[:3])


@pytest.mark.parametrize(
    ("make", "size", "sentence"),
    [
        (diffuseq, {"layers": 4}, "layers: the teacher has 3, so its student can't have 4"),
        (diffuseq, {"width": 10}, "multiple of the 4 of a head, at most the teacher's 16, got 10"),
        (diffuseq, {"width": 32}, "at most the teacher's 16, got 32"),
        (diffuseq, {"width": 8}, "width: 8 is that of the embeddings"),
        (langflow, {"layers": 9}, "layers: the teacher has 3"),
        (langflow, {"width": 8}, "students of LangFlow keep their teacher's"),
        (toy_teacher, {"layers": 1}, "students of ToyTeacher have their teacher's size"),
    ],
)
def test_sizes_that_are_none_are_refused(make: Any, size: dict[str, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make().smaller_network(**size)


def command(tmp_path: Path, *words: str) -> Result:
    environment = {"DLMONE_CACHE": str(tmp_path / "cache")}
    settings = (
        "teacher.layers=2",
        "teacher.pretrain.steps=2",
        "stages.*.student={ layers = 1, width = 24 }",
        "teacher.heads=4",
        "stages.*.steps=2",
        "stages.*.checkpoint_every=1",
        "stages.*.validation.examples=2",
        "teacher.pretrain.validation.examples=2",
        "evaluation.examples=2",
        "evaluation.candidates=1",
        "evaluation.teacher_steps=[1]",
        "evaluation.student_steps=[1]",
    )
    line = [words[0], str(TINY), *(word for setting in settings for word in ("--set", setting)), *words[1:]]
    return CliRunner().invoke(main, line, env=environment)


def test_a_run_of_a_small_student_publishes_loads_exports_and_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    answer = command(tmp_path, "run", "--run-dir", str(run), "--device", "cpu", "--no-report")
    assert answer.exit_code == 0, answer.output
    facts = json.loads((run / "student" / "config.json").read_text())["student"]
    assert facts["size"] == {"layers": 1, "width": 24}
    student = load_student(run / "student", Registry.discover())
    assert len(student.network.input_transformers.layer) == 1
    assert student.network.position_embeddings.weight.shape[1] == 24
    exported = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "small")])
    assert exported.exit_code == 0, exported.output
    texts = CliRunner().invoke(main, ["generate", str(tmp_path / "small"), "how is it ?", "--device", "cpu"])
    assert texts.exit_code == 0, texts.output
    # The last step of the second stage is taken again.
    checkpoints = run / "stage-2" / "checkpoints"
    end = load_latest(checkpoints)
    assert end is not None
    for file in sorted(checkpoints.glob("step-000002/*")):
        file.unlink()
    (checkpoints / "step-000002").rmdir()
    again = command(tmp_path, "run", "--run-dir", str(run), "--device", "cpu", "--no-report", "--resume")
    assert again.exit_code == 0, again.output
    found = load_latest(checkpoints)
    assert found is not None
    assert found.step == end.step == 2
    assert all(torch.equal(value, found.tensors[name]) for name, value in end.tensors.items())


def test_check_shows_the_parameters_of_a_student_and_refuses_what_does_not_go_on(tmp_path: Path) -> None:
    answer = command(tmp_path, "check", "--device", "cpu")
    assert answer.exit_code == 0, answer.output
    line = next(line for line in answer.stdout.splitlines() if "student of stage-1" in line)
    options = DiffuSeqOptions(
        seq_len=36, hidden_dim=16, hidden_t_dim=16, width=32, layers=2, heads=4, tokenizer="words"
    )
    teacher = DiffuSeqTeacher.build(options, EXAMPLES)
    count = sum(one.numel() for one in teacher.smaller_network(layers=1, width=24).parameters())
    assert f"{count:,} parameters (layers 1, width 24 of diffuseq's)" in line
    other = command(tmp_path, "check", "--device", "cpu", "--set", "stages.stage-1.student.width=25")
    assert other.exit_code == 2
    assert "stages.stage-1.student: width: expected a multiple of the 8 of a head" in other.stderr


def test_a_stage_goes_on_only_from_a_student_of_its_size(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("--run-dir", str(run), "--device", "cpu", "--set", "stages.stage-2.student={ layers = 2 }")
    answer = command(tmp_path, "run", *words)
    assert answer.exit_code == 2
    assert "stages.stage-2.student: the stage starts from the student of stage-1" in answer.stderr
    assert not (run / "metrics.jsonl").exists()
