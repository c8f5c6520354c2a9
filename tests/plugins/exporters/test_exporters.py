"""Exported graphs answer as dlmone does, on many rows and without it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from dlmone.cli import main
from dlmone.core import Example, InputError, Noise, OneStepGraph
from dlmone.models.folder import load_student
from dlmone.registry import Registry
from dlmone.testing import toy_teacher
from dlmone.testing.toy import EXAMPLES

ROWS = 1000
SCRIPT = Path(__file__).parents[3] / "examples" / "onnx_answer" / "answer.py"


def export(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny student in each format."""
    folder = tmp_path_factory.mktemp("exported")
    found = {}
    for name in ("onnx", "onnx:int8", "torch-export"):
        found[name] = folder / name.replace(":", "-")
        result = export(tiny_run, found[name], "--to", name)
        assert (result.exit_code, result.stdout) == (0, f"{found[name]}\n"), result.output
    return found


@pytest.fixture(scope="module")
def many(tiny_run: Path) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Inputs of many rows, and what dlmone generates from them."""
    generator = load_student(tiny_run / "student", Registry.discover())
    words = ["how", "what", "is", "it", "do", "i", "learn", "?"]
    choose = np.random.default_rng(1)
    texts = [" ".join(choose.choice(words, choose.integers(1, 6))) for _ in range(ROWS)]
    batch = generator.space.collate([Example(str(i), text, "") for i, text in enumerate(texts)])
    noise = Noise([(0, id, 0) for id in batch.ids])
    tokens_BL = generator.generate(batch, noise).tokens_BL
    return (batch.tokens_BL, batch.target_BL, noise.normal("z", generator.space.state_shape)), tokens_BL


def run_onnx(folder: Path, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "graph.onnx"))
    named = {name: tensor.numpy() for name, tensor in zip(OneStepGraph.INPUTS, inputs, strict=True)}
    return torch.from_numpy(session.run([OneStepGraph.OUTPUT], named)[0])


def test_onnx_gives_the_same_tokens(
    exported: dict[str, Path], many: tuple[tuple[torch.Tensor, ...], torch.Tensor]
) -> None:
    inputs, expected_BL = many
    assert torch.equal(run_onnx(exported["onnx"], inputs), expected_BL)
    one = tuple(tensor[:1] for tensor in inputs)
    assert torch.equal(run_onnx(exported["onnx"], one), expected_BL[:1])


def test_int8_is_smaller_and_near(
    exported: dict[str, Path], many: tuple[tuple[torch.Tensor, ...], torch.Tensor]
) -> None:
    inputs, expected_BL = many
    found_BL = run_onnx(exported["onnx:int8"], inputs)
    given_BL = ~inputs[1]
    assert torch.equal(found_BL[given_BL], expected_BL[given_BL])
    # Weights of eight bits change some tokens; a wrong scale would change most.
    assert 0.8 < (found_BL == expected_BL)[inputs[1]].double().mean() < 1
    sizes = [(exported[name] / "graph.onnx").stat().st_size for name in ("onnx:int8", "onnx")]
    assert sizes[0] < sizes[1]


def test_torch_export_gives_the_same_tokens(
    exported: dict[str, Path], many: tuple[tuple[torch.Tensor, ...], torch.Tensor]
) -> None:
    inputs, expected_BL = many
    program = torch.export.load(exported["torch-export"] / "graph.pt2")
    assert torch.equal(program.module()(*inputs), expected_BL)


def test_the_folder_says_how_to_use_it(exported: dict[str, Path], tiny_run: Path) -> None:
    folder = exported["onnx"]
    facts = json.loads((folder / "graph.json").read_text())
    assert facts["inputs"]["noise"] == {"type": "float32", "shape": ["rows", 16, 8]}
    assert facts["exporter"] == {"use": "onnx"}
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "graph.json",
        "graph.onnx",
        "tokenizer.json",
    ]
    example = facts["example"]
    noise = np.random.default_rng(0).standard_normal((1, 16, 8), dtype=np.float32)
    inputs = (
        torch.tensor([example["tokens"]]),
        torch.tensor([example["target"]]),
        torch.from_numpy(noise),
    )
    assert run_onnx(folder, inputs).tolist() == [example["generated"]]


def test_the_example_without_dlmone_gives_the_folders_answer(exported: dict[str, Path]) -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 60
    assert "import dlmone" not in SCRIPT.read_text()
    example = json.loads((exported["onnx"] / "graph.json").read_text())["example"]
    command = [sys.executable, str(SCRIPT), str(exported["onnx"]), example["source"]]
    answered = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "".join(answered.split()) == "".join(example["text"].split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("teacher", "--to", "onnx"), "holds a teacher; only a student's one network call is one graph"),
        (("student", "--to", "onxx"), "there is no exporter 'onxx'"),
        (("student", "--to", "onnx:int7"), "int8"),
        (("student", "--to", "onnx", "--precision", "float32"), "--to writes a graph"),
    ],
)
def test_what_cannot_be_exported_is_said(
    tiny_run: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    result = export(tiny_run / words[0], tmp_path / "out", *words[1:])
    assert result.exit_code in (2, 3)
    assert sentence in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_space_without_scores_is_refused() -> None:
    generator = toy_teacher().new_generator(1490)
    batch = generator.space.collate(EXAMPLES[:1])
    noise = torch.zeros(1, *generator.space.state_shape)
    with pytest.raises(InputError, match="has no scores of tokens"):
        OneStepGraph(generator)(batch.tokens_BL, batch.target_BL, noise)
