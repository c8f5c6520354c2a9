"""dlmone generate, on a tiny teacher and a tiny student."""

import io
import shutil
import subprocess
import sys

import pytest

import dlmone
from dlmone.evaluation.samples import read_samples
from dlmone.generation.inputs import lines_as_they_come

from .generating import SOURCES, generate, lines


def test_a_run_without_a_student_yet(tmp_path):
    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(dlmone.InputError, match="this run has no student yet"):
        dlmone.load(tmp_path)


def test_one_line_a_text_from_arguments_or_standard_input(tiny_run):
    texts = lines(generate(tiny_run, *SOURCES))
    assert len(texts) == len(SOURCES)
    assert lines(generate(tiny_run, input="\n".join(SOURCES) + "\n")) == texts
    assert lines(generate(tiny_run / "student", *SOURCES, "--batch", 2)) == texts
    assert lines(generate(tiny_run, *SOURCES, "--seed", 1)) != texts
    both = lines(generate(tiny_run, *SOURCES, "--candidates", 2))
    assert both[::2] == texts
    assert both[1::2] != texts


def test_standard_input_is_taken_as_it_is(tiny_run):
    """A line a text: empty ones, a missing last end, bytes that are no UTF-8, other ends of lines."""
    raw = b"how is it ?\n\n \t\nhow \xff is it ?\r\nwhat \xe2\x80\xa8 is \x00 it ?"
    texts = lines(generate(tiny_run, input=raw))
    assert len(texts) == 5
    assert texts == lines(
        generate(tiny_run, "how is it ?", "", " ", "how \ufffd is it ?", "what \u2028 is it ?")
    )


def test_a_line_is_answered_before_the_next_one_comes(tiny_run):
    """Over a real pipe: each output is there before the next text is sent."""
    command = [sys.executable, "-m", "dlmone", "generate", str(tiny_run), "--device", "cpu"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:
        answers = []
        for source in SOURCES:
            process.stdin.write(source + "\n")
            process.stdin.flush()
            answers.append(process.stdout.readline().removesuffix("\n"))
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0
    assert answers == lines(generate(tiny_run, *SOURCES))


@pytest.mark.parametrize("most", [1, 3, 64])
@pytest.mark.parametrize("text", ["", "a", "a\n", "\n", "\n\nb", "a\nb\nc\nd\n", "é\n" * 100])
def test_lines_are_those_of_the_text_however_they_come(monkeypatch, most, text):
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr("dlmone.generation.inputs.AT_ONCE", size)
        parts = list(lines_as_they_come(io.BytesIO(text.encode()), most))
        assert all(1 <= len(part) <= most for part in parts)
        found = [example for part in parts for example in part]
        assert [example.source for example in found] == text.removesuffix("\n").split("\n")[: len(found)]
        assert len(found) == len(text.splitlines())
        assert [example.id for example in found] == [str(number) for number in range(len(found))]


def test_a_text_that_does_not_fit_costs_no_other_its_output(tiny_run, tmp_path):
    args = (tiny_run, SOURCES[0], "how " * 30, SOURCES[2], "is " * 30)
    result = generate(*args, "--batch", 2)
    assert result.exit_code == 2
    [first, nothing, third, again] = result.stdout.splitlines()
    assert first
    assert third
    assert (nothing, again) == ("", "")
    [line] = result.stderr.splitlines()
    assert "2 of 4 texts do not fit and were skipped (1, 3); the first: example 1: its source leaves" in line
    assert generate(*args, "-o", tmp_path / "out.jsonl").exit_code == 2
    assert [sample.id for sample in read_samples(tmp_path / "out.jsonl").samples] == ["0", "2"]
    assert generate(*args, "-o", tmp_path / "out.jsonl", "--resume").exit_code == 2


def test_a_selector_keeps_one_candidate(tiny_run, tmp_path):
    out = tmp_path / "out.jsonl"
    drawn = lines(generate(tiny_run, SOURCES[0], "--candidates", 10))
    [chosen] = lines(generate(tiny_run, SOURCES[0], "--select", "mbr"))
    assert chosen in drawn
    assert lines(generate(tiny_run, *SOURCES, "--select", "mbr:rouge_l", "--candidates", 4, "-o", out)) == []
    samples, provenance = read_samples(out)
    assert [len(sample.candidates) for sample in samples] == [1, 1, 1]
    assert (provenance.selector, provenance.drawn) == ("mbr-4/rouge_l", 4)
    assert "|drawn:4|selector:mbr-4/rouge_l|" in provenance.signature(1)


PLUGIN = '''
from dlmone.core import Augmenter
from dlmone.registry import hookimpl
from dataclasses import replace
from pydantic import BaseModel, ConfigDict

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    share: float
    note: str = ""

class Drop(Augmenter):
    """Takes the last generated position of some candidates, which shows in any model's output."""

    def __init__(self, options):
        self.options = options

    def augment(self, batch, space, noise):
        kept_B1 = noise.uniform("drop")[:, None] >= self.options.share
        target_BL = batch.target_BL.clone()
        target_BL[:, -1:] &= kept_B1
        return replace(batch, target_BL=target_BL)

@hookimpl
def register_augmenters(register):
    register("drop", f"{__name__}:Drop", options=f"{__name__}:Options", help="shortens outputs")
'''


def test_an_augmenter_of_ones_own_varies_conditions(tiny_run, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    more = ("--plugin", tmp_path / "mine.py", "--candidates", 8)
    plain = lines(generate(tiny_run, SOURCES[0], *more))
    assert lines(generate(tiny_run, SOURCES[0], *more, "--augment", "drop:0")) == plain
    always = lines(generate(tiny_run, SOURCES[0], *more, "--augment", "drop:1"))
    half = lines(generate(tiny_run, SOURCES[0], *more, "--augment", "drop:0.5"))
    assert {*half} <= {*plain, *always}
    assert half not in (plain, always)
    out = tmp_path / "out.jsonl"
    long = ("--augment", "drop", "--set", "drop.share=0.5", "--set", "drop.note=x")
    lines(generate(tiny_run, SOURCES[0], *more, *long, "-o", out))
    samples, provenance = read_samples(out)
    assert provenance.augment == "drop(share=0.5,note=x)"
    assert samples[0].source == SOURCES[0].replace(" ?", "?")


def test_a_teacher_writes_in_many_steps(tiny_run):
    ddim = lines(generate(tiny_run / "teacher", SOURCES[0], "--steps", 3))
    assert len(ddim) == 1
    assert lines(generate(tiny_run / "teacher", SOURCES[0], "--steps", 3, "--sampler", "ddim")) == ddim
    refused = generate(tiny_run / "teacher", SOURCES[0], "--steps", 3, "--sampler", "diffuseq_ddpm")
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere", "text"], "nowhere: there is no such model folder"),
        ([".", "text"], "not a dlmone model folder"),
        (["RUN"], "there is nothing to generate for"),
        (["RUN", "text", "-i", __file__], "TEXT, --input and --samples exclude one another"),
        (["RUN", "text", "--samples", "2"], "TEXT, --input and --samples exclude one another"),
        (["RUN", "--samples", "2"], "generates for conditions: give texts instead of --samples"),
        (["RUN", "-i", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
        (["RUN", "text", "--device", "tpu"], "there is no device 'tpu'"),
        (
            ["RUN", "text", "--sampler", "ddim:2"],
            "sampler ddim.eta: expected a number less than or equal to 1",
        ),
        (["RUN", "text", "--set", ".eta=1"], "--set: '.eta' is not a key like NAME.OPTION"),
        (["RUN", "text", "--set", "#=1"], "--set: '#' is not a key like NAME.OPTION"),
        (["RUN", "text", "--set", "[a]\n[b]\nc=1"], "is not a key like NAME.OPTION"),
        (["RUN", "text", "--set", "ddim.eta=1"], "--set ddim: nothing of that name is used here"),
        (["RUN", "text", "--select", "mbr", "--candidates", 1], "there must be two or more"),
        (["RUN", "text", "--select", "mbr:dist_1"], "dist_1 does not compare two texts"),
        (["RUN", "text", "--id-column", "a"], "--id-column name columns of --input"),
        (["RUN", "text", "--resume"], "--resume continues the file that --output names: give both"),
    ],
)
def test_mistakes(tiny_run, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    result = generate(*(tiny_run if arg == "RUN" else arg for arg in args), input="")
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sampler", "ddmi"], "--sampler: there is no sampler 'ddmi'; did you mean 'ddim'?"),
        (["--select", "mrb:bleu"], "--select: there is no selector 'mrb'; did you mean 'mbr'?"),
        (["--augment", "no_such"], "--augment: there is no augmenter 'no_such'"),
    ],
)
def test_plugins_that_are_not_there(tiny_run, args, message):
    result = generate(tiny_run, "text", *args)
    assert (result.exit_code, result.stdout) == (3, "")
    assert message in result.stderr


def test_a_model_folder_that_is_broken(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run / "student", tmp_path / "student")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    result = generate(folder, "text")
    assert result.exit_code == 2
    assert "the weights cannot be read" in result.stderr
