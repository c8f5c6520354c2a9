"""dlmone/training/preflight.py: what fails, fails before training, in `dlmone check` and in a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.registry import Registry, load_recipe
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.preflight import prepare, read_data, try_out
from dlmone.training.teacher import new_teacher

TINY = str(Path(__file__).parents[1] / "tiny.toml")


def trial(*overrides: str, plugins: tuple[Path, ...] = (), processes: int = 1) -> None:
    """Do what `check` and `run` do before training, as one of processes that share out the networks."""
    registry = Registry.discover(plugins)
    recipe = load_recipe(TINY, registry=registry, overrides=overrides).recipe
    compute = Compute.of(recipe.compute.model_copy(update={"device": "cpu"}))
    if processes > 1:
        mesh: Any = object()
        compute = replace(compute, world=World(0, processes), mesh=mesh)
    prepared = prepare(recipe, registry, read_data(recipe, registry))
    try_out(recipe, registry, prepared, new_teacher(recipe, registry, prepared.splits["train"]), compute)


def refusal(*overrides: str, **more: Any) -> str:
    from dlmone.core import DlmoneError

    with pytest.raises(DlmoneError) as failure:
        trial(*overrides, **more)
    return str(failure.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["stages.stage-1.t_init=5000"], "stages.stage-1.t_init: "),
        (
            ["stages.stage-1.t_min=1500", "stages.stage-1.t_max=1000"],
            "must be below t_max (1000)",
        ),
        (["stages.stage-2.validation.metric=nope"], "stages.stage-2.validation.metric: "),
        (["teacher.pretrain.validation.metric=nope"], "teacher.pretrain.validation.metric: "),
        (["stages.stage-1.validation.metrics=[nope]"], "not TOML"),
        (['stages.stage-1.validation.metrics=["nope"]'], "there is no evaluation.metrics.nope"),
        (["evaluation.teacher_steps=[1, 5000]"], "evaluation.teacher_steps[1]: "),
        (
            ['stages.stage-2.spacing="log_snr"', "evaluation.student_steps=[1, 32]"],
            "evaluation.student_steps[1]: ",
        ),
        (["teacher.pretrain.validation_steps=5000"], "teacher.pretrain.validation_steps: "),
        (
            ['evaluation.variants.many={sampler.use="ddim", steps=5000}'],
            "evaluation.variants.many: ",
        ),
        (
            ['evaluation.variants.many={of="teacher", steps=5000}'],
            "evaluation.variants.many: ",
        ),
        (
            ['stages.stage-1.objectives.more={use="regression", steps=5000}'],
            "stages.stage-1.objectives.more",
        ),
        (
            ["stages.stage-1.objectives.adversarial.layer=7"],
            "DiffuSeqNetwork gives no features of layer 7: it has layers 0 to 0, and -1 is the last",
        ),
        (
            [
                "stages.stage-1.objectives.score.generator_start=8",
                "stages.stage-1.objectives.adversarial=false",
            ],
            "stages.stage-1: no objective trains θ within its 8 steps",
        ),
    ],
)
def test_what_fails_fails_before_training(overrides, sentence):
    assert sentence in refusal(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ['evaluation.variants.own={of="teacher", sampler={use="ddim", spacing=[9, 3]}, augment={use="pad"}}'],
    ],
)
def test_what_is_right_passes_and_leaves_no_trace(overrides):
    trial(*overrides)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"src,trg\na,b\n", "line 1: malformed JSON"),
        ('{"src": "a", "trg": "b"}\n'.encode("utf-16"), "cannot be read"),
        ('{"src": "caf\u00e9", "trg": "b"}\n'.encode("latin-1"), "cannot be read"),
        (b'{"src": "a", "trg": "b"}\n' * 5 + b'{"src": "a"', "line 6: malformed JSON"),
        (b'{"src": "a"\n' + b'{"src": "a", "trg": "b"}\n' * 5, "line 1: malformed JSON"),
        (b"[" * 100_000 + b"\n", "line 1: JSON that is nested too deeply"),
        (b'{"src": "a", "trg": 1' + b"0" * 5000 + b"}\n", "line 1: JSON with a number of too many digits"),
        (b"", "is empty"),
    ],
)
def test_check_refuses_data_that_a_run_would(tmp_path, monkeypatch, content, sentence):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.jsonl").write_bytes(b'{"src": "a", "trg": "b"}\n' * 5)
    (tmp_path / "valid.jsonl").write_bytes(content)
    data = [
        "--set",
        f'data={{use="jsonl", path="{tmp_path}"}}',
        "--set",
        "evaluation.metrics.questions=false",
    ]
    result = CliRunner().invoke(main, ["check", TINY, "--device", "cpu", *data])
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["check", "run"])
def test_both_commands_refuse_alike_and_at_once(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLMONE_CACHE", str(tmp_path / "cache"))
    args = [command, TINY, "--device", "cpu", "--set", "evaluation.teacher_steps=[5000]"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "error: evaluation.teacher_steps[0]: " in result.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("key", ["stages.stage-2.batch", "teacher.pretrain.batch"])
def test_processes_that_share_out_networks_need_even_shares_of_batches(key: str) -> None:
    assert refusal(f"{key}=6", processes=4) == (
        f"{key}: compute.shard needs a multiple of the 4 processes, got 6"
    )
