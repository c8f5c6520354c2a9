"""plugins/langflow/student.py: what an exported graph of it names is what it generates."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, Example, Noise, OneStepGraph
from dlmone.models.exported import load_exported
from dlmone.models.folder import load_student, publish
from dlmone.models.graph import export_graph
from dlmone.plugins.langflow.student import LangFlowStudent
from dlmone.registry import Registry
from dlmone.registry.schema import ExporterSlot
from dlmone.registry.short import slot_of

from .small import teacher_of

SCRIPT = Path(__file__).parents[3] / "examples" / "onnx_answer" / "answer.py"
REGISTRY = Registry.discover()
CHAIN = {"weight": 0.7, "bonus": 0.3, "top_k": 4}
#: From one word to more than a condition's places.
SOURCES = [Example(str(words), " ".join(["how is it going ?"] * words), "") for words in range(1, 20)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param({}, id="likeliest"),
        pytest.param({"temperature": 0.7}, id="drawn"),
        pytest.param({"temperature": 0.7, "draws": 3, "copy_penalty": 0.5}, id="of-three"),
        pytest.param(
            {"temperature": 0.9, "draws": 4, "copy_floor": -1.0, "coverage": 1.0, "known": 2.0}, id="chosen"
        ),
    ],
)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student with a chain: of the likeliest sequence, of a drawn one, of one of several."""
    chain = {**CHAIN, **request.param}
    teacher = teacher_of(conditional=True, pairs=50, triples=50, chain=chain)
    facts = {"t_init": teacher.space.schedule.time_of_quantile(0.9), "unit_input": False}
    folder = tmp_path_factory.mktemp("chained") / "student"
    return publish(folder, teacher, "langflow", "student", "text", student=facts)


def exported(student: Path, to: str) -> Path:
    """Return the folder of a student's graph, which is written once."""
    out = student.parent / to.replace(":", "-")
    if not out.exists():
        export_graph(student, out, REGISTRY, slot_of(ExporterSlot, to, REGISTRY, "--to"))
    return out


def loaded(student: Path) -> tuple[LangFlowStudent, Batch, Noise]:
    generator = load_student(student, REGISTRY)
    assert isinstance(generator, LangFlowStudent)
    batch = generator.space.collate_conditions(SOURCES)
    assert len(set(batch.target_BL.sum(1).tolist())) > 1
    return generator, batch, Noise([(0, id) for id in batch.ids])


def inputs_of(generator: LangFlowStudent, batch: Batch, noise: Noise) -> tuple[Tensor, ...]:
    return (batch.tokens_BL, batch.target_BL, *(noise.get(draw) for draw in generator.draws))


def test_a_graphs_tokens_are_those_it_generates(student: Path) -> None:
    generator, batch, noise = loaded(student)
    expected_BL = generator.generate(batch, noise).tokens_BL
    each_BL = generator.space.scores(generator.one_step(batch, noise.get(generator.draws[0])), batch)
    assert not torch.equal(expected_BL[batch.target_BL], each_BL.argmax(-1)[batch.target_BL])
    graph = OneStepGraph(generator)
    with torch.no_grad():
        assert torch.equal(graph(*inputs_of(generator, batch, noise)), expected_BL)


@pytest.mark.parametrize("rows", [1, 7, len(SOURCES)])
def test_torch_export_gives_the_same_tokens_for_any_number_of_rows(student: Path, rows: int) -> None:
    generator, batch, noise = loaded(student)
    program = torch.export.load(exported(student, "torch-export") / "graph.pt2")
    found_BL = program.module()(*(tensor[:rows] for tensor in inputs_of(generator, batch, noise)))
    assert torch.equal(found_BL, generator.generate(batch, noise).tokens_BL[:rows])


@pytest.mark.parametrize("rows", [1, 7, len(SOURCES)])
def test_onnx_gives_the_same_tokens_for_any_number_of_rows(student: Path, rows: int) -> None:
    own, batch, _ = loaded(student)
    found = load_exported(exported(student, "onnx"), [student], REGISTRY, threads=1)
    part = batch[:rows]
    noises = [Noise([(0, id) for id in part.ids]) for _ in range(2)]
    generated = found.generator.generate(part, noises[0])
    assert torch.equal(generated.tokens_BL, own.generate(part, noises[1]).tokens_BL)


def test_int8_is_near(student: Path) -> None:
    own, batch, noise = loaded(student)
    found = load_exported(exported(student, "onnx:int8"), [student], REGISTRY, threads=1)
    assert found.precision == "int8"
    same_BL = found.generator.generate(batch, noise).tokens_BL == own.generate(batch, noise).tokens_BL
    assert same_BL[~batch.target_BL].all()
    assert same_BL[batch.target_BL].double().mean() > 0.8


def test_the_folder_says_what_is_drawn(student: Path) -> None:
    facts = json.loads((exported(student, "onnx") / "graph.json").read_text())
    drawn = {name: fact["draw"] for name, fact in facts["inputs"].items() if "draw" in fact}
    generator, _, _ = loaded(student)
    assert facts["longest_condition"] == generator.space.source_length
    if not generator.space.chain.temperature:  # type: ignore[union-attr]
        assert drawn == {"noise": "normal"}
        return
    assert drawn == {"noise": "normal", "chain": "uniform"}
    shape = list(generator.space.chain.draw_shape(14))  # type: ignore[union-attr]
    assert facts["inputs"]["chain"] == {"type": "float64", "shape": ["rows", *shape], "draw": "uniform"}
    # Its example by hand: other numbers, another answer.
    example, rng = facts["example"], np.random.default_rng(0)
    z = torch.from_numpy(rng.standard_normal((1, 14, 8), np.float32))
    uniforms = [torch.from_numpy(rng.random((1, *shape))) for _ in range(20)]
    run = load_exported(exported(student, "onnx"), [student], REGISTRY, 1).generator.network
    tokens_BL, target_BL = torch.tensor([example["tokens"]]), torch.tensor([example["target"]])
    found = [run(tokens_BL, target_BL, z, uniform_BL)[0].tolist() for uniform_BL in uniforms]
    assert found[0] == example["generated"]
    assert any(other != found[0] for other in found[1:])


def test_the_example_without_dlmone_gives_the_folders_answer(student: Path) -> None:
    folder = exported(student, "onnx")
    example = json.loads((folder / "graph.json").read_text())["example"]
    command = [sys.executable, str(SCRIPT), str(folder), example["source"]]
    answered = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "".join(answered.split()) == "".join(example["text"].split())
