"""dlmone evaluate: DiffuSeq's own numbers, systems side by side, mistakes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.core.text.evaluator import Sample
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.samples import read_samples, sample_readers
from dlmone.generation.inference import save_samples
from dlmone.registry import Registry

DATA = Path(__file__).parents[1] / "data" / "eval"
OFFICIAL = json.loads((DATA / "official_metrics.json").read_text())
FIRST = DATA / "samples" / "seed101_step0.json"


def evaluate(*args):
    return CliRunner().invoke(main, ["evaluate", *map(str, args)])


def scores_of(result):
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    return [{name: score["value"] for name, score in row["scores"].items()} for row in rows]


def test_numbers_are_the_official_ones():
    together, alone = scores_of(evaluate(DATA / "samples", FIRST, "--json", "--no-baselines"))
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


def test_json_goes_to_a_file_too_or_instead_and_definitions_are_left_out_on_request(tmp_path):
    args = (DATA / "samples", "--metrics", "bleu", "--bootstrap", 0)
    whole, table, out = evaluate(*args), evaluate(*args, "--no-signatures"), tmp_path / "out.json"
    assert whole.stdout.startswith(table.stdout)
    assert "family:" in whole.stdout
    assert "family:" not in table.stdout
    printed = evaluate(*args, "--json").stdout
    assert json.loads(printed)
    assert evaluate(*args, "-o", "-").stdout == printed
    # Where it is printed, systems have their whole paths.
    assert evaluate(*args, "-o", out).stdout == whole.stdout
    assert json.loads(out.read_text())["rows"][0]["scores"] == json.loads(printed)["rows"][0]["scores"]


def test_systems_stand_side_by_side_over_their_signatures(tmp_path):
    provenance = Provenance.here("0123456789ab", "renoise", 1, 5)
    samples = [Sample("0", "a b", "a c", ("x y",)), Sample("1", "a", "b", ("c",))]
    save_samples(tmp_path / "mine.jsonl", samples, provenance)
    result = evaluate(
        tmp_path / "mine.jsonl", DATA / "samples", "--metrics", "bleu,avg_len", "--no-baselines"
    )
    assert result.exit_code == 0
    table, definitions, samples, how = result.stdout.split("\n\n")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["mine.jsonl"] == ["samples"]
    assert rows["bleu"][:3] == ["↑", "0.0000", "±0.0000"]
    assert rows["bleu"][3] == "0.3063"
    assert rows["avg_len"][::2] == ["1.5000", "8.2000"]
    assert rows["samples"] == ["2", "40"]
    assert rows["candidates"] == ["1", "3"]
    assert len({len(line) for line in table.splitlines()}) == 1
    bleu, mine, theirs = definitions.splitlines()
    assert bleu.startswith("family:diffuseq|metric:bleu|")
    assert "outer_spaces:none" in mine
    assert mine.endswith("(mine.jsonl)")
    assert "outer_spaces:counted" in theirs
    assert theirs.endswith("(samples)")
    assert samples.splitlines()[1:] == [
        f"{provenance.signature(1)}  (mine.jsonl)",
        "model:unknown|sampler:unknown|augment:unknown|nfe:unknown|seed:101-103|drawn:3|selector:first|written_by:unknown"
        "  (samples)",
    ]
    assert "95 % interval (1000 resamples" in how


def test_copying_and_the_reference_stand_beside():
    result = evaluate(FIRST, "--metrics", "bleu,copy_rate", "--bootstrap", 0)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["seed101_step0.json", "copy", "reference"]
    assert lines[1][:3] == ["bleu", "↑", "0.3063"]
    assert lines[2][3:] == ["1.0000", "0.0500"]  # two references repeat their source
    assert "±" not in result.stdout


def test_mbr_of_every_number_of_candidates_is_the_official_one_for_all():
    args = (DATA / "samples", "--metrics", "bleu,rouge_l,dist_1,diversity", "--no-baselines")
    result = evaluate(*args, "--select", "mbr", "--json")
    first, *chosen = json.loads(result.stdout)["rows"]
    assert [row["selector"] for row in chosen] == ["mbr-1/bleu", "mbr-2/bleu", "mbr-3/bleu"]
    values = [{name: score["value"] for name, score in row["scores"].items()} for row in chosen]
    for ours, theirs in (("bleu", "bleu"), ("rouge_l", "rougeL"), ("dist_1", "dist1")):
        assert values[2][ours] == pytest.approx(OFFICIAL["mbr"][theirs], abs=1e-6)
        assert values[0][ours] == first["scores"][ours]["value"]
    # Diversity is a property of the set, not of a choice from it.
    assert "self_bleu" in first["scores"]
    assert "self_bleu" not in values[2]
    assert "|drawn:3|selector:mbr-3/bleu|" in chosen[2]["scores"]["bleu"]["signature"]

    shown = evaluate(
        *args, "--select", "mbr", "--utility", "chrf", "--k", "1,3", "--set", "chrf.word_order=2"
    )
    table = [line.split() for line in shown.stdout.split("\n\n")[1].splitlines()]
    assert table[0][:2] == ["samples:", "one"]
    assert [line[0] for line in table[2:]] == ["mbr-1/chrf(word_order=2)", "mbr-3/chrf(word_order=2)"]
    assert table[2][1] == "0.3063"


def test_a_system_against_another():
    second = DATA / "samples" / "seed102_step0.json"
    names = ("--metrics", "bleu,sacrebleu", "--no-baselines", "--bootstrap", 200)
    found = json.loads(evaluate(FIRST, second, *names, "--against", second, "--json").stdout)
    assert [row["model"] for row in found["rows"]] == [str(FIRST), str(second)]
    ours, theirs = (row["scores"] for row in found["rows"])
    bleu, corpus = found["comparisons"]
    for one, name in ((bleu, "bleu"), (corpus, "sacrebleu")):
        assert (one["model"], one["against"], one["score"]) == (str(FIRST), str(second), name)
        assert one["difference"] == pytest.approx(ours[name]["value"] - theirs[name]["value"])
        assert one["interval"][0] <= one["difference"] <= one["interval"][1]
        assert 1 / 201 <= one["p"] <= 1
    assert found["bootstrap"] == {"resamples": 200, "seed": 0, "level": 0.95}
    table = evaluate(FIRST, *names, "--against", second).stdout.split("\n\n")[1].splitlines()
    assert table[0] == "seed101_step0.json less seed102_step0.json"
    assert table[2].split()[:2] == ["bleu", f"{bleu['difference']:+.4f}"]


def test_chosen_candidates_are_compared_with_chosen_candidates(tmp_path):
    samples = read_samples(DATA / "samples", sample_readers(Registry.discover())).samples
    save_samples(tmp_path / "turned.jsonl", [replace(s, candidates=s.candidates[::-1]) for s in samples])
    result = evaluate(
        *(DATA / "samples", "--against", tmp_path / "turned.jsonl", "--metrics", "bleu"),
        *("--select", "mbr", "--k", "3", "--bootstrap", 50, "--json"),
    )
    plain, chosen = json.loads(result.stdout)["comparisons"]
    assert (plain["selector"], chosen["selector"]) == ("first", "mbr-3/bleu")
    assert abs(chosen["difference"]) < abs(plain["difference"])


def test_values_of_each_example(tmp_path):
    args = (FIRST, "--metrics", "bleu,sacrebleu", "--no-baselines", "--json")
    [row] = json.loads(evaluate(*args, "--per-sample").stdout)["rows"]
    assert row["ids"] == [str(i) for i in range(40)]
    expected = OFFICIAL["per_file"][0]["per_sentence"]["bleu"]
    assert row["scores"]["bleu"]["per_sample"] == pytest.approx(expected, abs=1e-9)
    assert row["scores"]["sacrebleu"]["per_sample"] is None
    [row] = json.loads(evaluate(*args).stdout)["rows"]
    assert "ids" not in row
    assert "per_sample" not in row["scores"]["bleu"]


def test_an_option_of_a_metric_can_be_set(tmp_path):
    args = (DATA / "samples", "--metrics", "diversity", "--no-baselines", "--json")
    [three], [two] = (scores_of(evaluate(*args, *more)) for more in ((), ("--set", "diversity.candidates=2")))
    assert three["self_bleu"] == pytest.approx(OFFICIAL["diversity"]["self_bleu"], abs=1e-9)
    assert two["self_bleu"] != three["self_bleu"]


def test_empty_and_one_word_outputs_have_correct_values(tmp_path):
    samples = [Sample("0", "a b", "a b c", ("", "")), Sample("1", "a b", "a", ("a", "a"))]
    save_samples(tmp_path / "odd.jsonl", samples)
    metrics = "bleu,rouge_l,dist_1,health,copy_rate,diversity"
    args = (tmp_path / "odd.jsonl", "--metrics", metrics, "--set", "diversity.candidates=2")
    [scores] = scores_of(evaluate(*args, "--no-baselines", "--json"))
    assert scores["bleu"] == pytest.approx(0.5)  # 0 for nothing, nltk's 1 for "a" against "a"
    assert (scores["rouge_l"], scores["dist_1"], scores["empty_rate"]) == (0.5, 0.5, 0.5)
    assert (scores["copy_rate"], scores["div_4"]) == (0, 0)


def test_files_of_the_same_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        save_samples(tmp_path / folder / "x.jsonl", [Sample("0", "s", "r", ("o",))])
    files = (tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl")
    result = evaluate(*files, "--metrics", "dist_1", "--no-baselines")
    assert result.stdout.splitlines()[0].split() == ["a/x.jsonl", "b/x.jsonl"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["missing.jsonl"], 2, "missing.jsonl: there is no such sample file"),
        ([FIRST, "--metrics", "blue"], 3, "--metrics: there is no evaluator 'blue'; did you mean 'bleu'?"),
        ([FIRST, "--metrics", ","], 2, "--metrics ',': expected names of evaluators, separated by commas"),
        ([FIRST, "--metrics", ""], 2, "--metrics '': expected names of evaluators"),
        ([FIRST, "--metrics", "diversity"], 2, "diversity needs 3 candidates per sample, and there is 1"),
        ([FIRST, "--set", "bleu=3"], 2, "--set bleu: expected an option of it"),
        ([FIRST, "--set", "bleu.x=3"], 2, "--set bleu.x: unknown key"),
        (
            [FIRST, "--set", "blue.x=3"],
            2,
            "--set blue: nothing of that name is used here; did you mean 'bleu'",
        ),
        ([FIRST, "--select", "mrb"], 3, "--select: there is no selector 'mrb'; did you mean 'mbr'?"),
        ([FIRST, "--select", "mbr", "--utility", "blue"], 3, "--utility: there is no evaluator 'blue'"),
        ([FIRST, "--select", "mbr", "--utility", "dist_1"], 2, "dist_1 does not compare two texts"),
        ([FIRST, "--select", "mbr", "--k", "2"], 2, "--k 2: there are 1 candidates per sample"),
        ([FIRST, "--select", "mbr", "--k", "0,1"], 2, "--k 0,1: expected numbers of candidates"),
        ([FIRST, "--select", "mbr", "--k", "few"], 2, "--k few: expected numbers of candidates"),
        ([FIRST, "--utility", "bleu"], 2, "--utility is the metric that --select compares by"),
        ([FIRST, "--k", "2"], 2, "--k says of how many candidates --select chooses: give both"),
        ([FIRST, "--against", FIRST], 2, "cannot be compared with itself"),
        ([FIRST, "--against", FIRST, "--bootstrap", "0"], 2, "--against tests by resampling"),
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


def test_what_is_no_json_is_said_in_words_of_ours(tmp_path):
    path = tmp_path / "a.jsonl"
    for content, reason in (
        (b"threads = 4\n", "malformed JSON at column 1"),
        (b"[" * 100_000, "JSON that is nested too deeply"),
        (b'{"id": 1' + b"0" * 5000 + b"}", "JSON with a number of too many digits"),
        (b'{"id": "caf\xe9"}', "not UTF-8 at byte 11"),
        (b'{"id": 3}', "id: expected a valid string"),
        (b"[]", "expected a table"),
    ):
        path.write_bytes(content)
        result = evaluate(path)
        assert result.exit_code == 2
        expected = f"a.jsonl, line 1: expected id, source, reference and candidates in JSON ({reason}"
        assert expected in result.stderr


def test_many_resamples_show_how_far_they_are(monkeypatch):
    monkeypatch.setattr("dlmone.runtime.progress.QUIET_SECONDS", 0)
    monkeypatch.setattr("dlmone.evaluation.confidence._AT_A_TIME", 500)
    args = (FIRST, "--metrics", "bleu", "--no-baselines", "--bootstrap", 1000, "--against", DATA / "samples")
    lines = evaluate(*args).stderr.splitlines()
    # A draw of each system's examples and its score, and a comparison: two draws, four scores.
    assert [line.split()[:2] for line in lines][-1] == ["resampling", "9,000/9,000"]
    assert any(" left" in line for line in lines)
    assert evaluate(FIRST, "--metrics", "bleu", "--bootstrap", 0).stderr == ""


def test_scoring_needs_no_torch():
    args = ["evaluate", str(DATA / "samples"), "--select", "mbr"]
    code = f"import sys\nfrom dlmone.cli import main\ntry: main({args})\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()


PLUGIN = """
from dlmone.core import Sample
from dlmone.registry import ForeignSamples, SampleReader
from dlmone.registry import hookimpl


class Tabs(SampleReader):
    label = "tables (*.tsv)"

    def find(self, path):
        return sorted(path.glob("*.tsv")) if path.is_dir() else [path] if path.suffix == ".tsv" else []

    def read(self, files):
        rows = [line.split("\\t") for line in files[0].read_text().splitlines()]
        return ForeignSamples([Sample(str(i), s, r, (c,)) for i, (s, r, c) in enumerate(rows)], seeds=(3,))


@hookimpl
def register_sample_readers(register):
    register("tabs", f"{__name__}:Tabs")
"""


def test_files_of_another_tool_are_read_by_a_plugin(tmp_path):
    plugin, table = tmp_path / "tabs.py", tmp_path / "some" / "a.tsv"
    plugin.write_text(PLUGIN)
    table.parent.mkdir()
    table.write_text("s\tone two three four\tone two three four\n")
    for path in (table, table.parent):
        result = evaluate(path, "--plugin", plugin, "--metrics", "bleu", "--no-baselines", "--json")
        assert scores_of(result) == [{"bleu": 1.0}]
        assert "|seed:3|" in json.loads(result.stdout)["rows"][0]["scores"]["bleu"]["signature"]
    refused = evaluate(table, "--metrics", "bleu")
    assert "a.tsv, line 1: expected id, source, reference and candidates" in refused.stderr
    (tmp_path / "empty").mkdir()
    lacking = evaluate(tmp_path / "empty", "--plugin", plugin)
    assert "has no DiffuSeq outputs (seed*_step*.json), nor tables (*.tsv), nor samples" in lacking.stderr


def test_a_file_of_something_else_is_not_overwritten(tmp_path):
    out = tmp_path / "settings.toml"
    for text in ("threads = 4\n", "{", '{ "format": "other" }'):
        out.write_text(text)
        result = evaluate(FIRST, "--metrics", "bleu", "--bootstrap", 0, "-o", out)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "is there already and holds no results of evaluate; name another file" in result.stderr
        assert out.read_text() == text
    out.write_text("")
    for _ in range(2):  # an empty file, and then one of results
        assert evaluate(FIRST, "--metrics", "bleu", "--bootstrap", 0, "-o", out).exit_code == 0
        assert json.loads(out.read_text())["format"] == "dlmone.results/1"
