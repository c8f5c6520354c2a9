"""A run has a page whatever state it is in: just begun, torn, or of things that nobody knows."""

import json

import pytest

from .runs import Reader, make_run, report


def test_a_run_that_has_just_begun_has_a_page(tmp_path):
    run = tmp_path / "young"
    whole = make_run(tmp_path / "whole", stages=1)
    run.mkdir()
    for name in ("recipe.toml", "manifest.json"):
        (run / name).write_bytes((whole / name).read_bytes())
    (run / "metrics.jsonl").write_text("")
    text = report(run)
    for sentence in (
        "metrics.jsonl has no readable entry",
        "has not reached its final evaluation",
        "The run has not finished: start, stage-1, stage-2 has no student yet",
        "There is no validation yet.",
        "There are no samples that belong to the final table.",
    ):
        assert sentence in text
    found = Reader(text)
    assert found.alts == []
    sections = {"what", "run", "final", "outputs", "validation"}
    assert {one for one in found.ids if not one.startswith("figure-")} == sections | {"definitions"}
    assert {one for one in found.loads if one.startswith("#")} == {f"#{name}" for name in found.ids}


def test_torn_and_foreign_files_cost_what_is_in_them_and_no_more(tmp_path):
    run = make_run(tmp_path / "torn", stages=2)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"stage": "stage-2", "step": 3, "ki')
    (run / "report" / "results.json").write_text('{"rows": [{"model": "teacher"}]}')
    (run / "samples" / "teacher-None-1.jsonl").write_text("{")
    (run / "manifest.json").write_text("[]")
    text = report(run)
    assert "2 lines of metrics.jsonl cannot be read" in text
    assert "report/results.json has the format of another version" in text
    assert "samples/teacher-None-1.jsonl cannot be read" in text
    assert "manifest.json cannot be read" in text
    assert {"figure-validation", "figure-health"} <= set(Reader(text).ids)


def test_metrics_and_plugins_that_nobody_knows(tmp_path):
    run = make_run(tmp_path / "run", stages=1)
    path = run / "report" / "results.json"
    found = json.loads(path.read_text())
    for row in found["rows"]:
        row["scores"] = {"charm": row["scores"]["bleu"]}
    path.write_text(json.dumps(found))
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('use = "questions"', 'use = "unheard_of"'))
    text = report(run)
    assert "The recipe&#39;s evaluators cannot be used" in text
    assert "unheard_of" in text
    assert Reader(text).cells["final"][0] == ["", "charm ↑", "ms per sample ↓"]
    assert "figure-calls" in Reader(text).ids
    # No score of single outputs and none of the diversity: nothing to set against each other.
    assert "plane" not in Reader(text).ids


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"caf\xe9",
        b"[]",
        b"null",
        b'{"stage": 3, "step": 1, "kind": "train"}',
        b'{"stage": "stage-1", "step": "x", "kind": "train"}',
        b'{"stage": "stage-1", "step": NaN, "kind": "train"}',
        b'{"stage": "stage-1", "step": 1e400, "kind": "train"}',
        b'{"stage": ["a"], "step": 1, "kind": "train"}',
        b'{"stage": "stage-1", "step": 1}',
        b"[" * 100_000,
        b'{"stage": "stage-1", "step": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_log_of_another_type_has_a_page(tmp_path, line):
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(line + b"\n")
    assert "metrics.jsonl has no readable entry" in report(tmp_path)
    log.write_bytes(b'{"stage": "stage-1", "step": 1, "kind": "train"}\n' + line + b"\n")
    assert "1 lines of metrics.jsonl cannot be read" in report(tmp_path)
