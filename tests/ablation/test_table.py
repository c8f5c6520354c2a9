"""The table and the page of a tiny grid, beside what its runs have logged and scored."""

import csv
import io
import json
import shutil
from pathlib import Path
from statistics import fmean, stdev

import pytest
from click.testing import Result

from .small import dlmone, log


def test_every_row_spends_the_same_passes(workplace: Path, table: dict) -> None:
    rows = {row["name"]: row for row in table["rows"]}
    # SiD: θ's output twice, 1 + 3; ψ trained 3; φ and ψ with gradient to their input 2 + 2. SDS: 3 + 1.
    assert rows["sid"]["passes"] == 6 * 4 * (1 + 3 + 3 + 2 + 2)
    assert rows["sds"]["passes"] == 16 * 4 * (3 + 1)
    trained = [
        entry for entry in log(workplace / "grid/runs/sds/lr=0.001/seed-0") if entry["kind"] == "train"
    ]
    assert trained[-1]["step"] == 16
    validated = [
        entry["step"]
        for entry in log(workplace / "grid/runs/sds/lr=0.001/seed-0")
        if entry["kind"] == "validation"
    ]
    assert validated == [0, 8, 16]  # as often as SiD's, which are at 3 and 6


def test_numbers_are_those_of_the_runs(workplace: Path, table: dict) -> None:
    def scores(run: Path, role: str, calls: int) -> dict[str, float]:
        rows = json.loads((run / "report" / "results.json").read_text())["rows"]
        [row] = [r for r in rows if r["setting"] and r["setting"]["role"] == role and r["calls"] == calls]
        return {name: score["value"] for name, score in row["scores"].items()}

    row = next(row for row in table["rows"] if row["name"] == "sid")
    for calls in (1, 2):
        values = [scores(workplace / f"grid/runs/sid/seed-{seed}", "student", calls) for seed in (0, 1)]
        for name, found in row["scores"][str(calls)].items():
            own = [one[name] for one in values]
            assert found["values"] == own
            assert found["mean"] == pytest.approx(fmean(own))
            half = 12.706204736 * stdev(own) / 2**0.5
            assert found["interval"] == pytest.approx([fmean(own) - half, fmean(own) + half])
    assert any(len(set(found["values"])) > 1 for found in row["scores"]["1"].values())
    for calls in (1, 3):
        assert table["teacher"][str(calls)] == scores(workplace / "grid/teacher", "teacher", calls)
    for run in (workplace / "grid/runs").rglob("results.json"):
        assert "teacher" not in {one["model"] for one in json.loads(run.read_text())["rows"]}


def test_a_search_selects_by_validation_and_only_the_selected_value_gets_all_seeds(
    workplace: Path, table: dict
) -> None:
    row = next(row for row in table["rows"] if row["name"] == "sds")
    best = {}
    for name in ("lr=0.001", "lr=0.03"):
        entries = log(workplace / "grid/runs/sds" / name / "seed-0")
        best[name] = min(entry["raw/letters"] for entry in entries if entry["kind"] == "validation")
    assert {one["name"]: one["value"] for one in row["tried"]} == best
    assert row["chosen"] == min(best, key=best.__getitem__)
    for name in best:
        assert (workplace / "grid/runs/sds" / name / "seed-1").exists() == (name == row["chosen"])
    said = f"- sds: selected {row['chosen']} by validation letters of the first seed, among lr=0.001 "
    assert said in (workplace / "grid/table.md").read_text()


def test_the_folder_holds_the_table(workplace: Path, finished: Result, table: dict) -> None:
    assert json.loads((workplace / "grid/results.json").read_text())["rows"] == table["rows"]
    text = (workplace / "grid/table.md").read_text()
    assert "| wrong | 0 | failed |" in text
    assert "- wrong failed: it went off" in text
    lines = list(csv.DictReader(io.StringIO((workplace / "grid/table.csv").read_text())))
    one = next(line for line in lines if (line["row"], line["nfe"], line["score"]) == ("sid", "2", "dist_1"))
    row = next(row for row in table["rows"] if row["name"] == "sid")
    assert float(one["mean"]) == row["scores"]["2"]["dist_1"]["mean"]


def test_the_folder_holds_a_page_and_a_figure_of_the_rows_that_finished(
    workplace: Path, finished: Result
) -> None:
    assert finished.stderr.splitlines()[-1] == "report: grid/report.html"
    page = (workplace / "grid/report.html").read_text()
    assert "wrong failed: it went off" in page
    assert "<img src=" in page
    assert "selected" in page
    assert (workplace / "grid/grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_alone_is_printed_of_what_is_finished_and_nothing_is_run(
    workplace: Path, finished: Result
) -> None:
    shutil.copytree(workplace / "grid/runs/sid", workplace / "part/runs/sid")
    shutil.copytree(workplace / "grid/runs/sds/lr=0.001/seed-0", workplace / "part/runs/sds/lr=0.001/seed-0")
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "part", "--table-only")
    assert answer.exit_code == 0, answer.output
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["wrong", "0", "to", "come"] in [line[:4] for line in lines]
    assert any("sds: none selected by validation letters" in line for line in answer.stdout.splitlines())
    assert "lr=0.03 to come" in answer.stdout
    assert not (workplace / "part/runs/wrong").exists()
    # A version that did not know a key of the evaluation yet had its default.
    recipe = workplace / "part/runs/sid/seed-0/recipe.toml"
    assert "\nbatch = 64\n" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("\nbatch = 64\n", "\n"))
    assert dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "part", "--table-only").stdout == (
        answer.stdout
    )
    answer = dlmone("ablate", "grid.toml", "--plugin", "boom.py", "--out", "nowhere", "--table-only")
    assert answer.stderr.splitlines()[-1] == "error: nowhere: there is no grid here"
