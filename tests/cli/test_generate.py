"""dlmone generate, on a tiny teacher and a tiny student."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from click.testing import CliRunner

import dlmone
from dlmone.cli import main
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.samples import read_samples
from dlmone.generation.inputs import lines_as_they_come

SOURCES = ["how do i learn ?", "what is it ?", "how is it ?"]


def generate(*args, **extra):
    return CliRunner().invoke(main, ["generate", *map(str, args)], **extra)


def lines(result):
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


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


def test_rows_in_and_rows_out_can_be_evaluated(tiny_run, tmp_path):
    rows = [{"src": SOURCES[0], "trg": "what is it"}, {"id": "x", "source": SOURCES[1]}]
    # A line separator inside a string ends no line.
    rows.append({"id": 9, "source": f"{SOURCES[2]}\u2028"})
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(text)
    out = tmp_path / "out.jsonl"
    assert lines(generate(tiny_run, "-i", tmp_path / "in.jsonl", "-o", out, "--candidates", 3)) == []
    samples = read_samples(out).samples
    assert [sample.id for sample in samples] == ["0", "x", "9"]
    assert [sample.source for sample in samples] == ["how do i learn?", "what is it?", "how is it?"]
    assert [sample.reference for sample in samples] == ["what is it", "", ""]
    assert all(len(sample.candidates) == 3 for sample in samples)
    printed = lines(generate(tiny_run, "-i", tmp_path / "in.jsonl", "--json", "--candidates", 3))
    assert printed == out.read_text().splitlines()
    assert CliRunner().invoke(main, ["evaluate", str(out)]).exit_code == 0


def parquet(path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def packed(path, text):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


#: Three rows with an id, whose source is in a column of its own name.
ROWS = [{"qid": f"q{n}", "question": text, "answer": "what is it"} for n, text in enumerate(SOURCES)]
TABLE = "qid,question,answer\n" + "".join(f'q{n},"{text}",what is it\n' for n, text in enumerate(SOURCES))
JSON_LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
WRITERS = {
    "in.jsonl": lambda path: path.write_text(JSON_LINES),
    "in.jsonl.gz": lambda path: packed(path, JSON_LINES),
    "in.rows": lambda path: path.write_text(JSON_LINES),
    "in.csv": lambda path: path.write_text(TABLE, encoding="utf-8-sig"),
    "in.csv.gz": lambda path: packed(path, TABLE),
    "in.tsv": lambda path: path.write_text(TABLE.replace(",", "\t").replace('"', "")),
    "in.parquet": lambda path: parquet(path, ROWS),
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_of_every_kind_of_file(tiny_run, tmp_path, name):
    """The kinds that the data source of one's own files takes, with columns by name."""
    path = tmp_path / name
    WRITERS[name](path)
    columns = ("--source-column", "question", "--target-column", "answer", "--id-column", "qid")
    out = tmp_path / "out.jsonl"
    assert lines(generate(tiny_run, "-i", path, *columns, "-o", out)) == []
    samples = read_samples(out).samples
    assert [sample.id for sample in samples] == ["q0", "q1", "q2"]
    assert [sample.source for sample in samples] == ["how do i learn?", "what is it?", "how is it?"]
    assert [sample.reference for sample in samples] == ["what is it"] * 3
    refused = generate(tiny_run, "-i", path)
    assert refused.exit_code == 2
    assert f"{path}, " in refused.stderr
    assert '1: expected a column "src" or "source" or "text" (there are ' in refused.stderr.replace(
        "2:", "1:"
    )


def test_a_text_a_line_is_what_standard_input_takes(tiny_run, tmp_path):
    """Also its empty lines, so that lines in and lines out stay side by side."""
    text = "how is it ?\n\nwhat is it ?\r\nhow do i learn ?"
    (tmp_path / "in.txt").write_text(text, newline="")
    packed(tmp_path / "in.txt.gz", text)
    printed = lines(generate(tiny_run, input=text))
    assert len(printed) == 4
    assert lines(generate(tiny_run, "-i", tmp_path / "in.txt")) == printed
    assert lines(generate(tiny_run, "-i", tmp_path / "in.txt.gz")) == printed


READER = """
from dlmone.registry import hookimpl

def rows(path):
    for number, text in enumerate(path.read_text().split("%")):
        yield f"{path}, part {number}", {"columns": {"source": text}}

@hookimpl
def register_row_readers(register):
    register(".percent", f"{__name__}:rows")
"""


def test_a_reader_of_ones_own_and_a_column_within_another(tiny_run, tmp_path):
    (tmp_path / "reader.py").write_text(READER)
    (tmp_path / "in.percent").write_text("%".join(SOURCES))
    args = ("-i", tmp_path / "in.percent", "--plugin", tmp_path / "reader.py")
    printed = lines(generate(tiny_run, *args, "--source-column", "columns.source"))
    assert printed == lines(generate(tiny_run, *SOURCES))


@pytest.mark.parametrize(
    ("folder", "args", "sampler", "calls"),
    [
        ("student", ["--steps", 2], "re-noising", 2),
        (".", [], "re-noising", 1),
        ("teacher", ["--steps", 3], "ddim", 3),
        ("teacher", ["--sampler", "diffuseq_ddim", "--steps", 4], "diffuseq_ddim", 4),
        ("student", ["--sampler", "ddim:0.5", "--steps", 2], "ddim(eta=0.5)", 2),
        ("student", ["--sampler", "ddim", "--set", "ddim.rounding=false"], "ddim(rounding=False)", 1),
    ],
)
def test_what_is_written_says_by_whom_and_how(tiny_run, tmp_path, folder, args, sampler, calls):
    out = tmp_path / "out.jsonl"
    assert (
        lines(generate(tiny_run / folder, SOURCES[0], "-o", out, "--seed", 7, "--device", "cpu", *args)) == []
    )
    weights = tiny_run / ("teacher" if folder == "teacher" else "student") / "model.safetensors"
    model = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    assert read_samples(out).provenance == Provenance(
        model=model,
        sampler=sampler,
        calls=calls,
        seeds=(7,),
        steps=calls,
        augment="none",
        precision="cpu float32",
        versions={name: version(name) for name in ("dlmone", "torch")},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"src": "a"}\n{"src": "b"\n', "in.jsonl, line 2: malformed JSON at column"),
        ('{"src": "a"}\n\n{"src": "b"}\n', "in.jsonl, line 2: malformed JSON"),
        ('["a"]\n', "in.jsonl, line 1: expected a JSON object, found list"),
        ('{"txt": "a"}\n', 'line 1: expected a column "src" or "source" or "text" (there are txt)'),
        ('{"src": null}\n', 'line 1: expected a column "src" or "source" or "text" (there are src)'),
        ('{"src": 5}\n', 'in.jsonl, line 1: "src" must be a string, found int'),
        ("\n", "in.jsonl is empty"),
        ('{"src": "a"}\n{"src": "b", "id": 0}\n', "in.jsonl, line 2: the id '0' is that of line 1 already"),
    ],
)
def test_malformed_rows_name_file_and_line(tiny_run, tmp_path, content, message):
    (tmp_path / "in.jsonl").write_text(content)
    result = generate(tiny_run, "-i", tmp_path / "in.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert message in line


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


def test_a_source_is_written_as_it_was_given(tiny_run, tmp_path):
    given = "How  is the weather?"
    out = tmp_path / "out.jsonl"
    assert generate(tiny_run, given, "what is it?", "-o", out).exit_code == 0
    first, second = map(json.loads, out.read_text().splitlines())
    assert (first["source"], first["read_as"]) == (given, "how is [UNK] [UNK]?")
    assert second["source"] == "what is it?"
    assert "read_as" not in second
    printed = json.loads(generate(tiny_run, given, "--json").stdout)
    assert (printed["source"], printed["read_as"]) == (given, first["read_as"])
    # What the model read is what is scored, and what a file that is continued is compared by.
    assert [sample.source for sample in read_samples(out).samples] == [first["read_as"], second["source"]]
    assert generate(tiny_run, given, "what is it?", "how is it ?", "-o", out, "--resume").exit_code == 0
    assert len(out.read_text().splitlines()) == 3
