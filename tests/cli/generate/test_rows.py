"""dlmone generate, from files of rows to files of rows."""

import gzip
import hashlib
import json
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.samples import read_samples

from .generating import SOURCES, generate, lines


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
        ('{"src": null}\n', 'line 1: "src" is null, where a text was expected'),
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
