"""dlmone evaluate: DiffuSeq's own numbers, systems side by side, mistakes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.core.evaluator import Sample
from dlmone.engine.write import save_samples

DATA = Path(__file__).parent / "data" / "eval"
OFFICIAL = json.loads((DATA / "official_metrics.json").read_text())
FIRST = DATA / "samples" / "seed101_step0.json"


def evaluate(*args):
    return CliRunner().invoke(main, ["evaluate", *map(str, args)])


def scores_of(result):
    assert result.exit_code == 0, result.output
    return [
        {name: score["value"] for name, score in one["scores"].items()} for one in json.loads(result.stdout)
    ]


def test_numbers_are_the_official_ones():
    together, alone = scores_of(evaluate(DATA / "samples", FIRST, "--json"))
    expected = OFFICIAL["per_file"][0]
    for scores in (together, alone):
        assert scores["bleu"] == pytest.approx(expected["bleu"], abs=1e-7)
        assert scores["rouge_l"] == pytest.approx(expected["rougeL"], abs=1e-6)
        assert scores["dist_1"] == pytest.approx(expected["dist1"], abs=1e-7)
        assert scores["avg_len"] == expected["avg_len"]
    assert together["self_bleu"] == pytest.approx(OFFICIAL["diversity"]["self_bleu"], abs=1e-7)
    assert together["div_4"] == pytest.approx(OFFICIAL["diversity"]["div4"], abs=1e-7)
    # One draw a source has no diversity.
    assert "self_bleu" not in alone


def test_systems_stand_side_by_side_over_their_signatures(tmp_path):
    save_samples(
        tmp_path / "mine.jsonl", [Sample("0", "a b", "a c", ("x y",)), Sample("1", "a", "b", ("c",))]
    )
    result = evaluate(tmp_path / "mine.jsonl", DATA / "samples", "--metrics", "bleu,avg_len")
    assert result.exit_code == 0
    table, signatures = result.stdout.split("\n\n")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["mine.jsonl"] == ["samples"]
    assert rows["bleu"] == ["↑", "0.0000", "0.3063"]
    assert rows["avg_len"] == ["1.5000", "8.2000"]
    assert rows["samples"] == ["2", "40"]
    assert rows["candidates"] == ["1", "3"]
    assert len({len(line) for line in table.splitlines()}) == 1
    bleu, mine, theirs = signatures.splitlines()
    assert bleu.startswith("family:diffuseq|metric:bleu|")
    assert "outer_spaces:none" in mine
    assert mine.endswith("(mine.jsonl)")
    assert "outer_spaces:counted" in theirs
    assert theirs.endswith("(samples)")


def test_files_of_the_same_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        save_samples(tmp_path / folder / "x.jsonl", [Sample("0", "s", "r", ("o",))])
    result = evaluate(tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl", "--metrics", "dist_1")
    assert result.stdout.splitlines()[0].split() == ["a/x.jsonl", "b/x.jsonl"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["missing.jsonl"], 2, "missing.jsonl: there is no such file of samples"),
        ([FIRST, "--metrics", "blue"], 3, "--metrics: there is no evaluator 'blue'; did you mean 'bleu'?"),
        ([FIRST, "--metrics", "diversity"], 2, "diversity needs 3 candidate"),
        ([DATA], 2, "has no DiffuSeq outputs"),
        ([], 2, "Missing argument 'SAMPLES...'"),
    ],
)
def test_mistakes(args, code, message):
    result = evaluate(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_scoring_needs_no_torch():
    args = ["evaluate", str(FIRST), "--metrics", "bleu"]
    code = f"import sys\nfrom dlmone.cli import main\ntry: main({args})\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()
