"""dlmone/evaluation/samples.py: which kind of file it is, and what is wrong with it."""

import json

import pytest

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample
from dlmone.evaluation.provenance import UNKNOWN, Provenance
from dlmone.evaluation.samples import read_samples
from dlmone.generation.inference import save_samples

MINE = Provenance.here("0123456789ab", "ddim", 20, 7)
ROW = {"id": "7", "source": "s", "reference": "r", "candidates": ["a", "b"]}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_what_a_run_saves_is_read_back(tmp_path):
    samples = [
        Sample("0", "wörd", "r", ("a",)),
        Sample("x\ny", 'a line\u2028"recover"', "", ("b\x85c",)),
        Sample("y", "", "", ("",)),
    ]
    save_samples(tmp_path / "some.jsonl", samples)
    assert read_samples(tmp_path / "some.jsonl") == (samples, UNKNOWN)
    assert json.loads((tmp_path / "some.jsonl").read_text().split("\n")[0]) == {
        **{"id": "0", "source": "wörd", "reference": "r", "candidates": ["a"]}
    }
    save_samples(tmp_path / "some.jsonl", samples, MINE)
    assert read_samples(tmp_path / "some.jsonl") == (samples, MINE)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, "{"], "line 2: expected id, source, reference and candidates in JSON"),
        ([ROW, {**ROW, "candidates": []}], "line 2: .*candidates: "),
        ([{**ROW, "candidates": "a"}], "line 1: .*candidates: "),
        ([{**ROW, "id": 7}], "line 1: .*id: "),
        ([ROW, ROW], "line 2: the id '7' is that of line 1 already"),
        ([ROW, {**ROW, "id": "8", "candidates": ["a"]}], "line 2: 1 candidates here, but 2 in line 1"),
        ([ROW, {**ROW, "id": "8", "provenance": {"calls": 4}}], r"line 2: generated differently .*\(calls\)"),
        ([{**ROW, "provenance": {"calls": "many"}}], "line 1: .*provenance.calls: "),
        ([{"id": "7"}], "line 1: .*source: missing"),
        ([], "line 1: the file is empty"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, rows, message):
    path = write(tmp_path / "some.jsonl", *rows)
    with pytest.raises(InputError, match=f"some.jsonl, {message}"):
        read_samples(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"missing.jsonl: there is no such sample file"):
        read_samples(tmp_path / "missing.jsonl")


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
    samples, provenance = read_samples(tmp_path)
    assert [(sample.id, sample.candidates) for sample in samples] == [
        ("x", ("1", "2", "4")),
        ("y", ("1", "2", "3")),
    ]
    assert provenance == MINE.model_copy(update={"seeds": (7, 8)})
    (tmp_path / "a.jsonl").unlink()
    assert read_samples(tmp_path).provenance == seeded(8)


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
        (samples_of("x", "y"), UNKNOWN, "b.jsonl does not record its model and seed"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, samples, provenance, message):
    """A run's folder of samples holds many systems: their texts are no candidates of one."""
    save_samples(tmp_path / "a.jsonl", samples_of("x", "y"), seeded(7))
    save_samples(tmp_path / "b.jsonl", samples, provenance)
    with pytest.raises(InputError, match=message):
        read_samples(tmp_path)


def test_a_run_directory_is_named_as_such(tmp_path):
    (tmp_path / "recipe.toml").touch()
    (tmp_path / "metrics.jsonl").write_text('{"stage": "stage-1", "step": 1}\n')
    with pytest.raises(InputError, match="a run directory, where samples were expected; it has no samples"):
        read_samples(tmp_path)
    (tmp_path / "samples").mkdir()
    with pytest.raises(InputError, match=rf"; name the files in {tmp_path / 'samples'}, a system each"):
        read_samples(tmp_path)
