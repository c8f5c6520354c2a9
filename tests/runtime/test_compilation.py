"""dlmone/runtime/compilation.py: compiled networks compute the same, and nothing else sees that they are."""

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser, DiffusionGenerator, Example, InputError, Noise, Teacher
from dlmone.core.errors import MissingError
from dlmone.registry import Registry
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import Pretrain, Stage
from dlmone.runtime import compilation
from dlmone.runtime.compilation import compile_blocks, compile_call, require_compiler
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.pretraining import Pretraining

CPU = torch.device("cpu")
EAGER = Compute(CPU, bfloat16=False, world=World())
REGISTRY = Registry.discover()
SIZES = {"width": 32, "layers": 2, "heads": 2, "tokenizer": "words"}
TEACHERS: dict[str, dict[str, Any]] = {
    "diffuseq": {
        "seq_len": 16,
        "hidden_dim": 16,
        "hidden_t_dim": 16,
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "langflow": {"length": 16, "condition": 16, "conditional": True, "dropout": 0.0},
    "elf": {
        "length": 16,
        "source_length": 8,
        "bottleneck": 8,
        "encoder": "random",
        "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
    },
}
EXAMPLES = [Example(str(i), f"a {'b ' * (i % 4)}c", f"d {'e ' * (i % 3)}f") for i in range(12)]


def teacher_of(name: str) -> Teacher:
    torch.manual_seed(0)
    options = REGISTRY.options("teachers", name, SIZES | TEACHERS[name], "teacher")
    teacher: Teacher = REGISTRY.load("teachers", name).build(options, EXAMPLES)
    with torch.no_grad():  # also what starts as zero takes part
        for parameter in teacher.network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return teacher


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Compile by tracing alone, which takes moments, and note each graph's operators."""
    seen: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        seen.append(len(graph.graph.nodes))
        return graph

    torch._dynamo.reset()
    for name in ("compile_blocks", "compile_call"):
        compiled = getattr(compilation, name)
        monkeypatch.setattr(compilation, name, lambda one, f=compiled: f(one, backend=backend))
    for module in ("distillation", "pretraining"):
        blocks = compilation.compile_blocks
        monkeypatch.setattr(f"dlmone.training.{module}.compile_blocks", blocks)
    return seen


@pytest.mark.parametrize("family", TEACHERS)
def test_pretraining_is_the_same(family: str, graphs: list[int]) -> None:
    def trained(compute: Compute) -> dict[str, Tensor]:
        config = Pretrain.model_validate({"steps": 10, "batch": 4, "optimizer": {"lr": 1e-3}})
        trainee = Pretraining(teacher_of(family), config, EXAMPLES, compute, seed=0)
        for _ in range(3):
            trainee.advance(False)
        return dict(trainee.checkpoint({}).tensors)

    eager = trained(EAGER)
    assert not graphs
    compiled = trained(replace(EAGER, compile=True))
    assert graphs
    assert compiled.keys() == eager.keys(), "tensors keep their names"
    for name, tensor in eager.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-4, atol=1e-6, msg=name)


def test_both_updates_are_the_same_and_several_networks_share_graphs(graphs: list[int]) -> None:
    rate = {"lr": 1e-3}
    table = {"steps": 9, "batch": 4, "t_init": {"quantile": 0.75}, "generator": rate, "estimator": rate}
    terms = {
        "score": {"use": "sid", "generator_weight": 0.5, "estimator_weight": 0.5},
        "adversarial": {"use": "diffusion_gan", "generator_weight": 0.5, "estimator_weight": 0.5},
    }
    stage = Stage.model_validate({**table, "objectives": terms, "estimator_average": 0.9})

    def trained(compute: Compute) -> dict[str, Tensor]:
        teacher = teacher_of("diffuseq")
        objectives = {name: REGISTRY.create("objectives", slot) for name, slot in stage.objectives.items()}
        rows = TokenizedExamples(teacher.space, EXAMPLES)
        trainee = Distillation("stage-1", stage, teacher, objectives, rows, compute, seed=0)
        for _ in range(3):
            trainee.advance(False)
        return dict(trainee.checkpoint({}).tensors)

    eager, compiled = trained(EAGER), trained(replace(EAGER, compile=True))
    assert compiled.keys() == eager.keys()
    assert 0 < len(graphs) <= 8, "two layers of four networks"
    for name, tensor in eager.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("family", TEACHERS)
def test_a_network_call_is_one_graph_whatever_the_examples(family: str, graphs: list[int]) -> None:
    teacher = teacher_of(family).eval()
    space = teacher.space
    generator = teacher.new_generator(space.schedule.time_of_quantile(0.75)).eval()
    other = copy.deepcopy(generator)
    compilation.compile_call(generator.network)
    for start in (0, 4, 8):
        rows = space.collate(EXAMPLES[start : start + 4])
        noise = Noise([(start, place) for place in range(4)])
        found, wanted = (one.generate(rows, noise) for one in (generator, other))
        torch.testing.assert_close(found.state, wanted.state, rtol=1e-5, atol=1e-6)
        assert torch.equal(found.tokens_BL, wanted.tokens_BL)
    assert len(graphs) == 1


def test_a_copy_is_not_compiled(graphs: list[int]) -> None:
    """It would compute with the weights of the one that was copied."""
    network = teacher_of("diffuseq").network
    compilation.compile_blocks([network])
    compilation.compile_call(network)
    twin = copy.deepcopy(network)
    assert not any(part._compiled_call_impl for part in twin.modules())
    assert sum(part._compiled_call_impl is not None for part in network.modules()) == 3
    assert not any(part._compiled_call_impl for part in EAGER.frozen_copy(network).modules())


class Flat(Denoiser):
    """A denoiser without blocks."""

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, *args: Any, **wanted: Any) -> Denoised:
        return Denoised(e_t)


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(InputError, match="Flat has no blocks"):
        compile_blocks([nn.Sequential(Flat())])


@pytest.mark.parametrize("named", [None, "no-such-compiler"])
def test_without_a_compiler_one_sentence_says_so(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    if named:
        monkeypatch.setenv("CXX", named)
    with pytest.raises(MissingError, match=named or r"no g\+\+ or clang\+\+ here"):
        Compute.of(ComputeTable(device="cpu", compile=True))
    Compute.of(ComputeTable(device="cpu"))


def test_a_gpu_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(compilation, "find_spec", lambda name: None)
    require_compiler(CPU)
    with pytest.raises(MissingError, match="Triton"):
        require_compiler(torch.device("cuda"))


@pytest.mark.long
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_code_computes_the_same() -> None:
    """By the real compiler, forward and backward; in a process of its own, whose imports are no test's."""
    answer = subprocess.run([sys.executable, "-P", __file__], capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr


def compare_compiled() -> None:
    teacher = teacher_of("diffuseq")
    space, network = teacher.space, teacher.network.train()
    rows = space.collate(EXAMPLES[:4])
    t_B = space.schedule.tensor(1000, 4)

    def outcome(one: Denoiser) -> list[Tensor]:
        x = torch.linspace(-1, 1, 4 * 16 * 16).view(4, 16, 16).requires_grad_()
        x0 = one.denoise(x, t_B, rows).x0
        return [x0, *torch.autograd.grad(x0.square().mean(), [x, *next(iter(one.repeated())).parameters()])]

    eager = outcome(network)
    compile_blocks([network])
    for found, wanted in zip(outcome(network), eager, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    student = DiffusionGenerator(copy.deepcopy(network).eval(), space, 1490)
    wanted_state = student.generate(rows, Noise([(0, place) for place in range(4)])).state
    compile_call(student.network)
    found_state = student.generate(rows, Noise([(0, place) for place in range(4)])).state
    torch.testing.assert_close(found_state, wanted_state, rtol=1e-4, atol=1e-6)


def test_compiling_and_sharding_together_is_refused() -> None:
    with pytest.raises(ValidationError, match="compile and shard can't be used together"):
        ComputeTable(compile=True, shard=True)


if __name__ == "__main__":
    compare_compiled()
