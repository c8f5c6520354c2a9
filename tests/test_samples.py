"""engine/samples.py: which kind of file it is, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample
from dlmone.engine.samples import read_official, read_samples
from dlmone.engine.write import save_samples

OFFICIAL = Path(__file__).parent / "data" / "eval" / "samples"
DRAW = {"recover": "[CLS] x [SEP]", "reference": "[CLS] y [SEP]", "source": "[CLS] z [SEP] [SEP]"}
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


def test_official_texts_keep_their_markers_and_files_their_order():
    samples = read_official(OFFICIAL)
    assert [sample.id for sample in samples] == [str(i) for i in range(40)]
    assert samples[0].source == "[CLS] how do i learn to bake bread at home? [SEP] [SEP]"
    assert samples[0].candidates[1] == "[CLS] what is the best way to bake bread? [SEP]"
    assert all(len(sample.candidates) == 3 for sample in samples)


def test_official_reader_orders_files_by_name_and_takes_the_first_ones_texts(tmp_path):
    write(tmp_path / "seed20_step0.json", DRAW | {"recover": "second"})
    write(tmp_path / "seed10_step0.json", DRAW | {"recover": "first"})
    write(tmp_path / "scores.json", "not a sample file")
    assert read_official(tmp_path) == [Sample("0", DRAW["source"], DRAW["reference"], ("first", "second"))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([DRAW, "{"], "seed2_step0.json, line 2: expected source, reference and recover"),
        ([DRAW, ""], "seed2_step0.json, line 2: expected"),
        ([DRAW, "[]"], "seed2_step0.json, line 2: expected"),
        ([{"recover": "x", "source": "y"}], "seed2_step0.json, line 1: expected .*reference: Field required"),
        ([DRAW | {"recover": None}], "seed2_step0.json, line 1: expected .*recover: "),
        ([DRAW], "seed2_step0.json, line 2: 1 rows here, but 2 in .*seed1_step0.json"),
        ([DRAW] * 3, "seed2_step0.json, line 3: 3 rows here, but 2 in"),
        ([DRAW, DRAW | {"source": "other"}], "seed2_step0.json, line 2: another source or reference"),
        ([], "seed2_step0.json, line 1: the file is empty"),
    ],
)
def test_official_reader_names_file_and_line(tmp_path, rows, message):
    write(tmp_path / "seed1_step0.json", DRAW, DRAW)
    write(tmp_path / "seed2_step0.json", *rows)
    with pytest.raises(InputError, match=message):
        read_official(tmp_path)


def test_official_reader_refuses_bytes_that_are_no_text(tmp_path):
    (tmp_path / "seed1_step0.json").write_bytes(b'{"recover": "\xff", "source": "", "reference": ""}\n')
    with pytest.raises(InputError, match=r"seed1_step0.json, line 1: expected"):
        read_official(tmp_path)


@pytest.mark.parametrize("folder", ["", "missing"])
def test_official_reader_refuses_a_folder_without_outputs(tmp_path, folder):
    with pytest.raises(InputError, match="has no DiffuSeq outputs"):
        read_official(tmp_path / folder)
