"""dlmone/evaluation/samples.py: which kind of file it is, and what is wrong with it."""

import json
from pathlib import Path

import pytest

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Sample
from dlmone.evaluation.provenance import UNKNOWN, Provenance
from dlmone.evaluation.samples import read_draws, read_official, read_samples
from dlmone.generation.inference import save_samples

OFFICIAL = Path(__file__).parents[1] / "data" / "eval" / "samples"
DRAW = {"recover": "[CLS] x [SEP]", "reference": "[CLS] y [SEP]", "source": "[CLS] z [SEP] [SEP]"}
OTHER = DRAW | {"source": "other"}
MINE = Provenance.here("0123456789ab", "ddim", 20, 7)
ROW = {"id": "7", "source": "s", "reference": "r", "candidates": ["a", "b"]}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_what_the_engine_writes_is_read_back(tmp_path):
    samples = [
        Sample("0", "wörd", "r", ("a",)),
        Sample("x\ny", 'a line\u2028"recover"', "", ("b\x85c",)),
        Sample("y", "", "", ("",)),
    ]
    save_samples(tmp_path / "some.jsonl", samples)
    assert read_draws(tmp_path / "some.jsonl") == (samples, UNKNOWN)
    assert json.loads((tmp_path / "some.jsonl").read_text().split("\n")[0]) == {
        **{"id": "0", "source": "wörd", "reference": "r", "candidates": ["a"]}
    }
    save_samples(tmp_path / "some.jsonl", samples, MINE)
    assert read_draws(tmp_path / "some.jsonl") == (samples, MINE)


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
        ([{**ROW, "id": 7}], "line 1: .*id: "),
        ([ROW, ROW], "line 2: the id '7' is that of line 1 already"),
        ([ROW, {**ROW, "id": "8", "candidates": ["a"]}], "line 2: 1 candidates here, but 2 in line 1"),
        ([ROW, {**ROW, "id": "8", "provenance": {"calls": 4}}], r"line 2: written otherwise .*\(calls\)"),
        ([{**ROW, "provenance": {"calls": "many"}}], "line 1: .*provenance.calls: "),
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
        ([DRAW, OTHER][::-1], "seed2_step0.json, line 1: another source or reference"),
        ([DRAW, "{"], "seed2_step0.json, line 2: expected source, reference and recover"),
        ([DRAW, ""], "seed2_step0.json, line 2: expected"),
        ([DRAW, "[]"], "seed2_step0.json, line 2: expected"),
        ([{"recover": "x", "source": "y"}], "seed2_step0.json, line 1: expected .*reference: Field required"),
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
        read_official(tmp_path)


def test_official_reader_refuses_bytes_that_are_no_text(tmp_path):
    (tmp_path / "seed1_step0.json").write_bytes(b'{"recover": "\xff", "source": "", "reference": ""}\n')
    with pytest.raises(InputError, match=r"seed1_step0.json, line 1: expected"):
        read_official(tmp_path)


@pytest.mark.parametrize("folder", ["", "missing"])
def test_official_reader_refuses_a_folder_without_outputs(tmp_path, folder):
    with pytest.raises(InputError, match="has no DiffuSeq outputs"):
        read_official(tmp_path / folder)


def test_official_files_say_their_seeds(tmp_path):
    assert read_draws(OFFICIAL).provenance == Provenance(seeds=(101, 102, 103))
    assert read_draws(OFFICIAL / "seed102_step0.json").provenance == Provenance(seeds=(102,))
    assert read_draws(write(tmp_path / "mine.json", DRAW)).provenance == UNKNOWN


def test_a_file_that_a_second_run_was_appended_to(tmp_path):
    path = write(tmp_path / "seed1_step0.json", DRAW, OTHER, DRAW | {"recover": "again"}, OTHER)
    for where in (path, tmp_path):
        with pytest.raises(InputError, match=r"seed1_step0.json, line 3: from here on all rows come again"):
            read_draws(where)
    # Equal rows alone are no second run.
    assert len(read_samples(write(path, DRAW, DRAW))) == 2


def samples_of(*ids, texts=("a",), source="s"):
    return [Sample(id, source, "r", texts) for id in ids]


def seeded(seed, **changes):
    return MINE.model_copy(update={"seeds": (seed,), **changes})


def test_files_of_one_system_are_joined_by_id(tmp_path):
    save_samples(tmp_path / "a.jsonl", samples_of("x", "y", texts=("1", "2")), seeded(7))
    save_samples(
        tmp_path / "b.jsonl",
        samples_of("y", "x", texts=("3",))[:1] + samples_of("x", texts=("4",)),
        seeded(8),
    )
    (tmp_path / "notes.txt").write_text("no samples")
    samples, provenance = read_draws(tmp_path)
    assert [(sample.id, sample.candidates) for sample in samples] == [
        ("x", ("1", "2", "4")),
        ("y", ("1", "2", "3")),
    ]
    assert provenance == MINE.model_copy(update={"seeds": (7, 8)})
    (tmp_path / "a.jsonl").unlink()
    assert read_draws(tmp_path).provenance == seeded(8)


@pytest.mark.parametrize(
    ("samples", "provenance", "message"),
    [
        (samples_of("x"), seeded(8), r"b.jsonl has no example 'y', which .*a.jsonl has"),
        (samples_of("x", "y", "z"), seeded(8), r"a.jsonl has no example 'z', which .*b.jsonl has"),
        (
            samples_of("x", "y", source="t"),
            seeded(8),
            r"b.jsonl: 'x' has another source or reference",
        ),
        (samples_of("x", "y"), seeded(7), "two of its files have one seed"),
        (
            samples_of("x", "y"),
            seeded(8, calls=4),
            r"is of another system .*\(calls\): name the files",
        ),
        (samples_of("x", "y"), seeded(8, model="f" * 12), r"another system than .*a.jsonl \(model\)"),
        (samples_of("x", "y"), UNKNOWN, "b.jsonl does not say which model and seed wrote it"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, samples, provenance, message):
    """A run's folder of samples holds many systems: their texts are no candidates of one."""
    save_samples(tmp_path / "a.jsonl", samples_of("x", "y"), seeded(7))
    save_samples(tmp_path / "b.jsonl", samples, provenance)
    with pytest.raises(InputError, match=message):
        read_draws(tmp_path)


def test_a_folder_of_two_kinds(tmp_path):
    write(tmp_path / "seed1_step0.json", DRAW)
    save_samples(tmp_path / "a.jsonl", samples_of("x"))
    with pytest.raises(InputError, match=r"files of two kinds, a.jsonl and seed1_step0.json"):
        read_draws(tmp_path)
