"""DiffuSeq's sample files: read strictly, and side by side with dlmone's own."""

import json
from pathlib import Path

import pytest

from dlmone.core import InputError, Sample
from dlmone.evaluation.provenance import UNKNOWN, Provenance
from dlmone.evaluation.samples import read_samples, sample_readers
from dlmone.generation.inference import save_samples
from dlmone.plugins.diffuseq.outputs import DiffuSeqReader
from dlmone.registry import Registry
from dlmone.testing import check_sample_reader

OFFICIAL = Path(__file__).parents[2] / "data" / "eval" / "samples"
DRAW = {"recover": "[CLS] x [SEP]", "reference": "[CLS] y [SEP]", "source": "[CLS] z [SEP] [SEP]"}
OTHER = DRAW | {"source": "other"}
READERS = sample_readers(Registry.discover())


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read(path):
    return read_samples(path, READERS).samples


@pytest.mark.parametrize("path", [OFFICIAL, OFFICIAL / "seed102_step0.json"], ids=["folder", "file"])
def test_it_keeps_the_contract(path):
    check_sample_reader(DiffuSeqReader(), path)


def test_folders_and_files():
    together = read(OFFICIAL)
    alone = read(OFFICIAL / "seed102_step0.json")
    assert [sample.candidates for sample in alone] == [sample.candidates[1:2] for sample in together]
    assert [sample.reference for sample in alone] == [sample.reference for sample in together]


def test_a_file_of_rows_needs_no_official_name(tmp_path):
    with pytest.raises(InputError, match=r"some.jsonl, line 1: expected source, reference and recover"):
        read(write(tmp_path / "some.jsonl", {"source": "s", "recover": "a"}))
    with pytest.raises(InputError, match=r"some.jsonl, line 1: expected id, source, reference"):
        read_samples(tmp_path / "some.jsonl")


def test_official_texts_keep_their_markers_and_files_their_order():
    samples = read(OFFICIAL)
    assert [sample.id for sample in samples] == [str(i) for i in range(40)]
    assert samples[0].source == "[CLS] how do i learn to bake bread at home? [SEP] [SEP]"
    assert samples[0].candidates[1] == "[CLS] what is the best way to bake bread? [SEP]"
    assert all(len(sample.candidates) == 3 for sample in samples)


def test_official_reader_orders_files_by_name_and_takes_the_first_ones_texts(tmp_path):
    write(tmp_path / "seed20_step0.json", DRAW | {"recover": "second"})
    write(tmp_path / "seed10_step0.json", DRAW | {"recover": "first"})
    write(tmp_path / "scores.json", "not a sample file")
    assert read(tmp_path) == [Sample("0", DRAW["source"], DRAW["reference"], ("first", "second"))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([DRAW, OTHER][::-1], "seed2_step0.json, line 1: another source or reference"),
        ([DRAW, "{"], "seed2_step0.json, line 2: expected source, reference and recover"),
        ([DRAW, ""], "seed2_step0.json, line 2: expected"),
        ([DRAW, "[]"], "seed2_step0.json, line 2: expected"),
        ([{"recover": "x", "source": "y"}], "seed2_step0.json, line 1: expected .*reference: missing"),
        ([DRAW | {"recover": None}], "seed2_step0.json, line 1: expected .*recover: "),
        ([DRAW], "seed2_step0.json, line 2: 1 rows here, but 2 in .*seed1_step0.json"),
        ([DRAW, OTHER, DRAW], "seed2_step0.json, line 3: 3 rows here, but 2 in"),
        ([DRAW, OTHER | {"reference": "y"}], "seed2_step0.json, line 2: another source or reference"),
        ([], "seed2_step0.json, line 1: the file is empty"),
    ],
)
def test_official_reader_names_file_and_line(tmp_path, rows, message):
    write(tmp_path / "seed1_step0.json", DRAW, OTHER)
    write(tmp_path / "seed2_step0.json", *rows)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_official_reader_refuses_bytes_that_are_no_text(tmp_path):
    (tmp_path / "seed1_step0.json").write_bytes(b'{"recover": "\xff", "source": "", "reference": ""}\n')
    with pytest.raises(InputError, match=r"seed1_step0.json, line 1: expected"):
        read(tmp_path)


def test_a_folder_without_samples(tmp_path):
    outputs = r"has no DiffuSeq outputs \(seed\*_step\*.json\), nor samples of dlmone's \(\*.jsonl\)\."
    with pytest.raises(InputError, match=outputs):
        read(tmp_path)
    with pytest.raises(InputError, match=r"has no samples of dlmone's \(\*.jsonl\)\."):
        read_samples(tmp_path)
    with pytest.raises(InputError, match="there is no such sample file"):
        read(tmp_path / "missing")


def test_official_files_say_their_seeds(tmp_path):
    assert read_samples(OFFICIAL, READERS).provenance == Provenance(seeds=(101, 102, 103))
    assert read_samples(OFFICIAL / "seed102_step0.json", READERS).provenance == Provenance(seeds=(102,))
    assert read_samples(write(tmp_path / "mine.json", DRAW), READERS).provenance == UNKNOWN


def test_a_file_that_a_second_run_was_appended_to(tmp_path):
    path = write(tmp_path / "seed1_step0.json", DRAW, OTHER, DRAW | {"recover": "again"}, OTHER)
    for where in (path, tmp_path):
        with pytest.raises(InputError, match=r"seed1_step0.json, line 3: from here on all rows come again"):
            read(where)
    # Equal rows alone are no second run.
    assert len(read(write(path, DRAW, DRAW))) == 2


def test_a_folder_of_two_kinds(tmp_path):
    write(tmp_path / "seed1_step0.json", DRAW)
    save_samples(tmp_path / "a.jsonl", [Sample("x", "s", "r", ("a",))])
    with pytest.raises(InputError, match=r"files of two kinds, a.jsonl and seed1_step0.json"):
        read(tmp_path)
