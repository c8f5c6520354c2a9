"""Exported graphs answer as dlmone does, on many rows and without it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from dlmone.benchmark.results import BenchResults
from dlmone.cli import main
from dlmone.core import Batch, Example, InputError, Noise, OneStepGraph
from dlmone.models.exported import load_exported
from dlmone.models.folder import load_student
from dlmone.plugins.diffuseq.space import DiffuSeqSpace
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
        assert "warning" not in result.stderr, "what a user can't change is no warning of ours"
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
    named = {name: tensor.numpy() for name, tensor in zip(("tokens", "target", "noise"), inputs, strict=True)}
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
    assert facts["inputs"] == {
        "tokens": {"type": "int64", "shape": ["rows", 16]},
        "target": {"type": "bool", "shape": ["rows", 16]},
        "noise": {"type": "float32", "shape": ["rows", 16, 8], "draw": "normal"},
    }
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


def test_a_graph_runs_as_a_generator(
    exported: dict[str, Path], tiny_run: Path, many: tuple[tuple[torch.Tensor, ...], torch.Tensor]
) -> None:
    registry = Registry.discover()
    student = tiny_run / "student"
    found = load_exported(exported["onnx"], [tiny_run / "teacher", student], registry, threads=1)
    space = found.generator.space
    batch = space.collate([Example(str(i), "what is it ?", "") for i in range(3)])
    noise = Noise([(7, id, 0) for id in batch.ids])
    generated = found.generator.generate(batch, noise)
    own = load_student(student, registry).generate(batch, Noise([(7, id, 0) for id in batch.ids]))
    assert torch.equal(generated.tokens_BL, own.tokens_BL)
    assert generated.calls == 1
    assert (found.precision, found.file.name) == ("float32", "graph.onnx")
    assert found.runtime.startswith("onnxruntime 1.")
    assert load_exported(exported["onnx:int8"], [student], registry, 1).precision == "int8"


def changed(exported: Path, place: Path, **facts: object) -> Path:
    """Copy an exported folder with other facts in its ``graph.json``."""
    shutil.copytree(exported, place)
    path = place / "graph.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return place


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"dlmone_graph": 2}, "graph.json: dlmone_graph: expected 1"),
        ({"file": None}, "graph.json: file: expected a valid string"),
        ({"file": "gone.onnx"}, "gone.onnx: onnxruntime can't load this graph"),
        ({"file": "graph.json"}, "graph.json: onnxruntime can't load this graph"),
        ({"model": {"fingerprint": "0"}}, "a graph of another model than"),
        ({"exporter": {"precision": "int8"}}, "a table that names a plugin with use"),
        ({"exporter": {"use": "onnx", "precision": "int7"}}, "int8"),
    ],
)
def test_a_wrong_exported_folder_is_said(
    exported: dict[str, Path], tiny_run: Path, tmp_path: Path, facts: dict[str, object], sentence: str
) -> None:
    folder = changed(exported["onnx"], tmp_path / "graph", **facts)
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_exported(folder, [tiny_run / "student"], Registry.discover(), 1)


def test_a_graph_that_could_unpickle_is_not_loaded(exported: dict[str, Path], tiny_run: Path) -> None:
    with pytest.raises(InputError, match="has no runtime for them here"):
        load_exported(exported["torch-export"], [tiny_run / "student"], Registry.discover(), 1)


def test_bench_times_graphs_beside_their_model(exported: dict[str, Path], tiny_run: Path) -> None:
    graphs = [word for name in ("onnx", "onnx:int8") for word in ("--graph", str(exported[name]))]
    settings = ["--steps", "1", "--runs", "2", "--device", "cpu", "--precision", "float32,bfloat16"]
    result = CliRunner().invoke(main, ["bench", str(tiny_run), *graphs, *settings, "--json"])
    assert result.exit_code == 0, result.output
    rows = BenchResults.model_validate_json(result.stdout).rows
    assert [(Path(row.model).name, row.precision, row.calls) for row in rows] == [
        (tiny_run.name, "float32", 1),
        (tiny_run.name, "bfloat16", 1),
        ("onnx", "float32", 1),
        ("onnx-int8", "int8", 1),
    ]
    assert "MB, run by onnxruntime 1." in rows[3].weights
    for row in rows[2:]:
        assert min(row.parts[part] for part in ("tokenise", "network", "detokenise")) > 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("RUN", "--graph", "nowhere"), "nowhere"),
        (("RUN", "--graph", "RUN"), "it has no graph.json; dlmone export MODEL OUT --to writes it"),
        (("RUN/teacher", "--graph", "ONNX"), "a graph of another model than"),
        (("qqp", "--graph", "ONNX"), "give that as MODEL, not a recipe"),
    ],
)
def test_a_graph_that_is_not_the_models(
    exported: dict[str, Path], tiny_run: Path, words: tuple[str, ...], sentence: str
) -> None:
    places = {"RUN": str(tiny_run), "ONNX": str(exported["onnx"])}
    filled = [re.sub("RUN|ONNX", lambda word: places[word[0]], word) for word in words]
    result = CliRunner().invoke(main, ["bench", *filled, "--device", "cpu"])
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.output


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


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A space of few words that cuts none, as others' may be."""

    def refusing(name: str) -> None:
        collate = getattr(DiffuSeqSpace, name)

        def checked(self: DiffuSeqSpace, examples: Sequence[Example]) -> Batch:
            for example in examples:
                words = example.source.split()
                if not {*words} <= {"oui", "non", "?"} or len(words) > 5:
                    raise InputError(f"example {example.id}: too long, or of unknown words")
            return collate(self, examples)

        monkeypatch.setattr(DiffuSeqSpace, name, checked)

    refusing("collate")
    refusing("collate_conditions")


@pytest.mark.usefixtures("strict")
def test_a_model_that_reads_no_english(tiny_run: Path, tmp_path: Path) -> None:
    refused = export(tiny_run, tmp_path / "graph", "--to", "torch-export")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "can't read the example condition 'how are you ?' (example 0: too long, or of" in refused.stderr
    assert "give one that it can with --example TEXT" in refused.stderr
    assert not (tmp_path / "graph").exists()
    result = export(tiny_run, tmp_path / "graph", "--to", "torch-export", "--example", "oui ?")
    assert result.exit_code == 0, result.stderr
    facts = json.loads((tmp_path / "graph" / "graph.json").read_text())
    assert facts["example"]["source"] == "oui ?"
    space = load_student(tiny_run / "student", Registry.discover()).space
    five = space.collate_conditions([Example("0", "oui ? oui ? oui", "")])
    assert facts["longest_condition"] == int((~five.target_BL).sum())

    timed = CliRunner().invoke(main, ["bench", str(tiny_run / "student"), "--runs", "1"])
    assert timed.exit_code == 2
    assert "it can't read the texts that it would be timed with (example 0: too long" in timed.stderr
    assert "give some that it can with -i FILE" in timed.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--example", "hello"], "--example is the condition of a graph's example, and --to writes one"),
        (["--example", " ", "--to", "onnx"], "--example: expected a text, got an empty one"),
    ],
)
def test_an_example_needs_a_graph_and_a_text(
    tiny_run: Path, tmp_path: Path, words: list[str], sentence: str
) -> None:
    result = export(tiny_run, tmp_path / "graph", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr
