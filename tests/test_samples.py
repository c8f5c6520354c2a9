"""engine/samples.py: which kind of file it is, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample
from dlmone.engine.samples import read_official, read_samples
from dlmone.engine.write import save_samples

OFFICIAL = Path(__file__).parent / "data" / "eval" / "samples"
ROW = {"id": "7", "source": "s", "reference": "r", "candidates": ["a", "b"]}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_what_the_engine_writes_is_read_back(tmp_path):
    samples = [
        Sample("0", "wörd", "r", ("a",)),
        Sample("x\ny", 'a line\u2028"recover"', "", ("", "b\x85c")),
    ]
    save_samples(tmp_path / "some.jsonl", samples)
    assert read_samples(tmp_path / "some.jsonl") == samples


def test_official_folders_and_files():
    together = read_samples(OFFICIAL)
    assert together == read_official(OFFICIAL)
    alone = read_samples(OFFICIAL / "seed102_step0.json")
    assert [sample.candidates for sample in alone] == [sample.candidates[1:2] for sample in together]
    assert [sample.reference for sample in alone] == [sample.reference for sample in together]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, "{"], "line 2: expected id, source, reference and candidates in JSON"),
        ([ROW, {**ROW, "candidates": []}], "line 2: .*candidates: "),
        ([{**ROW, "candidates": "a"}], "line 1: .*candidates: "),
        ([{"id": "7"}], "line 1: .*source: Field required"),
        ([{"source": "s", "recover": "a"}], "line 1: expected source, reference and recover"),
        ([], "line 1: the file is empty"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, rows, message):
    path = write(tmp_path / "some.jsonl", *rows)
    with pytest.raises(InputError, match=f"some.jsonl, {message}"):
        read_samples(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"missing.jsonl: there is no such file"):
        read_samples(tmp_path / "missing.jsonl")
