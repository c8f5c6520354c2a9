"""ELF from end to end: pretrained, distilled by every kind of objective, evaluated; and resumed exactly."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.plugins.elf.options import ElfOptions
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.questions.options import SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import Pretrain
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing.toy import EXAMPLES
from dlmone.training.pretraining import Pretraining

from .test_teacher import TINY

STAGES = {
    "sid": """
score = { use = "sid" }
adversarial = { use = "diffusion_gan" }
decoder = { use = "elf_decoder" }
""",
    "guided": 'score = { use = "sid", teacher_guidance = 2.0, estimator_guidance = 2.0, dsm_guidance = 2.0 }',
    "dmd2": 'score = { use = "dmd2" }',
    "progressive": 'map = { use = "progressive", steps = 2 }',
    "consistency": 'map = { use = "consistency", times = 4, spacing = "time" }',
    "flow_map": 'map = { use = "flow_map", times = 4, spacing = "time" }\ndecoder = { use = "elf_decoder" }',
    "own": 'map = { use = "elf_progressive", steps = 2, substeps = 2 }\ndecoder = { use = "elf_decoder" }',
}

RECIPE = """
name = "elf-questions"

[data]
use = "questions"
train = 500
valid = 4
test = 4

[teacher]
use = "elf"
length = 36
source_length = 18
width = 16
layers = 1
heads = 2
bottleneck = 4
latent_std = 1.0
encoder = "random"
tokenizer = "words"
t5 = { d_model = 8, d_kv = 4, d_ff = 16, num_layers = 1, num_heads = 2 }

[teacher.pretrain]
steps = 2
batch = 4
optimizer = { lr = 2e-3, clip_norm = 1.0 }
validation = { every = 2, examples = 2 }
validation_steps = 2

[evaluation]
candidates = 1
teacher_steps = [2]
student_steps = [1, 2]
teacher_sampler = { use = "elf", method = "sde", condition_guidance = 2.0 }
metrics = { bleu = { use = "bleu" } }
""" + "\n".join(
    f"""
[stages.{name}]
start = "teacher"
steps = 2
batch = 2
t_init = {{ quantile = 1.0 }}
t_min = {{ quantile = 0.01 }}
generator = {{ lr = 1e-4 }}
estimator = {{ lr = 1e-4 }}
validation = {{ every = 2, examples = 2 }}
[stages.{name}.objectives]
{objectives}
"""
    for name, objectives in STAGES.items()
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elf")
    (path / "tiny.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(path / "cache"))
        result = CliRunner().invoke(
            main, ["run", str(path / "tiny.toml"), "--run-dir", str(path / "run"), "--no-report"]
        )
    assert result.exit_code == 0, result.output
    return path / "run"


def test_a_run_pretrains_distils_and_evaluates(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if row["kind"] == "train"]
    assert {row["stage"] for row in trained} == {"pretrain", *STAGES}
    assert all(row.get("non_finite", 0) == 0 for row in trained)
    assert any("velocity_error" in row and "cross_entropy" in row for row in trained)
    for role in ("teacher", "student"):
        assert json.loads((finished / role / "config.json").read_text())["role"] == role


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_what_a_run_leaves_generates_on_its_own(
    finished: Path, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder holds encoder and tokenizer: nothing is fetched or read from elsewhere."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = "how can i learn french ?"
    result = CliRunner().invoke(main, ["generate", str(finished / role), text, "--steps", "2"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1


def test_pretraining_resumes_exactly() -> None:
    config = Pretrain.model_validate({"steps": 6, "batch": 3, "warmup": 4, "optimizer": {"lr": 0.002}})
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())

    def begin() -> Pretraining:
        torch.manual_seed(0)
        teacher = ElfTeacher.build(ElfOptions(**TINY), EXAMPLES)
        return Pretraining(teacher, config, EXAMPLES, compute, seed=0)

    whole, first, second = begin(), begin(), begin()
    for _ in range(4):
        whole.advance(norms=False)
    for _ in range(2):
        first.advance(norms=False)
    second.load(first.checkpoint({}))
    for _ in range(2):
        second.advance(norms=False)
    tensors, others = whole.checkpoint({}).tensors, second.checkpoint({}).tensors
    assert any(key.endswith("blocks.0.mlp.w3.weight.momentum") for key in tensors)
    assert any(key.endswith("proj_bias.square") for key in tensors)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(value, others[key]) for key, value in tensors.items())
    # The encoder is in both, and neither training nor averaging has moved it.
    key = "space.encoder.embed_tokens.weight"
    assert torch.equal(tensors[f"average/{key}"], begin().teacher.state_dict()[key])


def test_the_paper_profile_is_checked_at_the_published_size() -> None:
    result = CliRunner().invoke(main, ["check", "xsum", "--profile", "paper"])
    assert result.exit_code == 0, result.output
    assert "network 104,579,940 + shared space 35,330,816" in result.stdout
    for line in ("memory", "stage-1", "total"):
        assert re.search(rf"^  {line} +about", result.stdout, re.MULTILINE)
    assert "The teacher models/elf-b-xsum does not exist; its size is that of default" in result.stdout


def test_the_quick_profile_needs_no_download() -> None:
    registry = Registry.discover()
    recipe = load_recipe("xsum", registry=registry).recipe
    assert (recipe.data.use, recipe.teacher.path) == ("questions", None)
    options = registry.options("teachers", "elf", recipe.teacher.options, "teacher")
    assert (options.encoder, options.tokenizer) == ("random", "words")
    examples = QuestionsSource(SourceOptions(train=500, valid=20, test=20)).split("train")
    space = ElfTeacher.build(options, examples).space
    batch = space.collate(examples)
    # Nothing is cut, and states have the scale that the noise is made for.
    assert space.text(batch.tokens_BL, batch) == [example.target for example in examples]
    assert space.source_text(batch) == [example.source for example in examples]
    assert float(space.embed(batch[:64]).std()) == pytest.approx(1.0, abs=0.1)
