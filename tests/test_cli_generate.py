"""dlmone generate and dlmone.load, on a tiny teacher and a tiny student; dlmone convert."""

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import dlmone
from dlmone.cli import main
from dlmone.engine.folder import publish, read_config
from dlmone.engine.provenance import Provenance
from dlmone.engine.samples import read_draws, read_samples
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher

CHECKPOINT = Path(__file__).parent / "data" / "diffuseq_ckpt" / "ckpt_small"
OPTIONS = DiffuSeqOptions(
    seq_len=16, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
)
SOURCES = ["how do i learn ?", "what is it ?", "how is it ?"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """What a run leaves of its models: ``teacher/`` and ``student/``."""
    path = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    examples = [dlmone.Example(str(i), source, "what is it") for i, source in enumerate(SOURCES)]
    teacher = DiffuSeqTeacher.build(OPTIONS, examples)
    publish(path / "teacher", teacher, "diffuseq", "teacher", "card")
    facts = {"t_init": 1490, "unit_input": False}
    publish(path / "student", teacher, "diffuseq", "student", "card", student=facts)
    (path / "recipe.toml").write_text("")
    return path


def generate(*args, **extra):
    return CliRunner().invoke(main, ["generate", *map(str, args)], **extra)


def lines(result):
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_load(run_dir):
    student = dlmone.load(run_dir / "student", device="cpu")
    assert isinstance(student, dlmone.DiffusionGenerator)
    assert student.t_init == 1490
    assert isinstance(dlmone.load(str(run_dir)), dlmone.DiffusionGenerator)
    teacher = dlmone.load(run_dir / "teacher", sampler="diffuseq_ddim")
    assert isinstance(teacher, dlmone.SampledGenerator)
    assert not teacher.training
    with pytest.raises(dlmone.PluginError, match="no sampler 'ddmi'; did you mean 'ddim'"):
        dlmone.load(run_dir / "teacher", sampler="ddmi")
    with pytest.raises(dlmone.InputError, match="there is no such model folder"):
        dlmone.load(run_dir / "nowhere")


def test_a_run_without_a_student_yet(tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(dlmone.InputError, match="this run has no student yet"):
        dlmone.load(tmp_path)


def test_one_line_a_text_from_arguments_or_standard_input(run_dir):
    texts = lines(generate(run_dir, *SOURCES))
    assert len(texts) == len(SOURCES)
    assert lines(generate(run_dir, input="\n".join(SOURCES) + "\n")) == texts
    assert lines(generate(run_dir / "student", *SOURCES, "--batch", 2)) == texts
    assert lines(generate(run_dir, *SOURCES, "--seed", 1)) != texts
    both = lines(generate(run_dir, *SOURCES, "--candidates", 2))
    assert both[::2] == texts
    assert both[1::2] != texts


def test_a_teacher_writes_in_many_steps(run_dir):
    ddim = lines(generate(run_dir / "teacher", SOURCES[0], "--steps", 3))
    assert len(ddim) == 1
    assert lines(generate(run_dir / "teacher", SOURCES[0], "--steps", 3, "--sampler", "ddim")) == ddim
    refused = generate(run_dir / "teacher", SOURCES[0], "--steps", 3, "--sampler", "diffuseq_ddpm")
    assert refused.exit_code == 2


def test_rows_in_and_rows_out_can_be_evaluated(run_dir, tmp_path):
    rows = [{"src": SOURCES[0], "trg": "what is it"}, {"id": "x", "source": SOURCES[1]}]
    # A line separator inside a string ends no line.
    rows.append({"id": 9, "source": f"{SOURCES[2]}\u2028"})
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(text)
    out = tmp_path / "out.jsonl"
    assert lines(generate(run_dir, "-i", tmp_path / "in.jsonl", "-o", out, "--candidates", 3)) == []
    samples = read_samples(out)
    assert [sample.id for sample in samples] == ["0", "x", "9"]
    assert [sample.source for sample in samples] == ["how do i learn?", "what is it?", "how is it?"]
    assert [sample.reference for sample in samples] == ["what is it", "", ""]
    assert all(len(sample.candidates) == 3 for sample in samples)
    printed = lines(generate(run_dir, "-i", tmp_path / "in.jsonl", "--json", "--candidates", 3))
    assert printed == out.read_text().splitlines()
    assert CliRunner().invoke(main, ["evaluate", str(out)]).exit_code == 0


@pytest.mark.parametrize(
    ("folder", "args", "sampler", "calls"),
    [
        ("student", ["--steps", 2], "renoise", 2),
        (".", [], "renoise", 1),
        ("teacher", ["--steps", 3], "ddim", 3),
        ("teacher", ["--sampler", "diffuseq_ddim", "--steps", 4], "diffuseq_ddim", 4),
    ],
)
def test_what_is_written_says_by_whom_and_how(run_dir, tmp_path, folder, args, sampler, calls):
    out = tmp_path / "out.jsonl"
    assert lines(generate(run_dir / folder, SOURCES[0], "-o", out, "--seed", 7, *args)) == []
    weights = run_dir / ("teacher" if folder == "teacher" else "student") / "model.safetensors"
    model = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    assert read_draws(out).provenance == Provenance(
        model=model,
        sampler=sampler,
        calls=calls,
        seeds=(7,),
        versions={name: version(name) for name in ("dlmone", "torch")},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"src": "a"}\n{"src": "b"\n', "in.jsonl, line 2: malformed JSON at column"),
        ('{"src": "a"}\n\n{"src": "b"}\n', "in.jsonl, line 2: malformed JSON"),
        ('["a"]\n', "in.jsonl, line 1: expected a JSON object, found list"),
        ('{"text": "a"}\n', 'in.jsonl, line 1: expected a key "src" or "source"'),
        ('{"src": 5}\n', 'in.jsonl, line 1: "src" must be a string, found int'),
        ("\n", "in.jsonl is empty"),
    ],
)
def test_malformed_rows_name_file_and_line(run_dir, tmp_path, content, message):
    (tmp_path / "in.jsonl").write_text(content)
    result = generate(run_dir, "-i", tmp_path / "in.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere", "text"], "nowhere: there is no such model folder"),
        ([".", "text"], "not a dlmone model folder"),
        (["RUN"], "there is nothing to write for"),
        (["RUN", "text", "-i", __file__], "TEXT and --input exclude each other"),
        (["RUN", "-i", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
        (["RUN", "text", "--device", "tpu"], "there is no device 'tpu'"),
        (["RUN", "text", "--sampler", "ddim"], "is a student, which writes without a sampler"),
        (["RUN", "how " * 30], "example 0: its source leaves no room for a target"),
    ],
)
def test_mistakes(run_dir, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    result = generate(*(run_dir if arg == "RUN" else arg for arg in args), input="")
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert message in line


def test_convert(tmp_path):
    markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "tokenizer").mkdir()
    words = [*markers, *(f"word{number}" for number in range(200 - len(markers)))]
    (tmp_path / "tokenizer" / "vocab.txt").write_text("\n".join(words) + "\n")
    out = tmp_path / "teacher"
    args = ["convert", "diffuseq", str(CHECKPOINT), str(out)]
    bare = CliRunner().invoke(main, args)
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert "--tokenizer PATH" in bare.stderr
    assert not out.exists()
    args += ["--tokenizer", str(tmp_path / "tokenizer")]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "weights: ema_0.9999_000004.pt" in result.stderr
    assert read_config(out)["role"] == "teacher"
    assert "ema_0.9999_000004.pt" in (out / "README.md").read_text()
    assert len(lines(generate(out, "word1 word2", "--steps", 2))) == 1
    again = CliRunner().invoke(main, args)
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_a_model_folder_that_is_broken(run_dir, tmp_path):
    folder = shutil.copytree(run_dir / "student", tmp_path / "student")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    result = generate(folder, "text")
    assert result.exit_code == 2
    assert "the weights cannot be read" in result.stderr
