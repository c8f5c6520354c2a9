"""dlmone report: one self-contained page of runs, and each of its sections."""

import json
import subprocess
import sys

from click.testing import CliRunner

from dlmone.cli import main
from dlmone.report.flow import flow
from dlmone.report.reading import read_runs

from .runs import RIGHT, SOURCE, Reader, make_run, report

QUICK_STAGES = ("start", "stage-1", "stage-2")


def number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def test_the_page_loads_nothing(page):
    found = Reader(page)
    assert [one for one in found.loads if not one.startswith(("data:image/svg+xml;base64,", "#"))] == []
    assert "script" not in found.tags
    assert "link" not in found.tags
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_section_is_there_with_its_figures(page):
    found = Reader(page)
    sections = (
        "what",
        "run",
        "degenerate",
        "final",
        "calls",
        "timing",
        "stages",
        "plane",
        "candidates",
        "validation",
    )
    assert {*sections, "health", "losses", "outputs", "definitions"} <= set(found.ids)
    figures = {"calls", "plane", "candidates", "validation", "health", "losses", "pretraining"}
    assert {f"figure-{name}" for name in figures} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert len(found.alts) == page.count("<figure ")
    assert all(len(alt) > 20 for alt in found.alts)
    assert found.images > 2 * len(found.alts)  # a figure is in pieces
    # Values of terms are found whatever the recipe calls them.
    assert any("distance of φ and ψ" in alt and "D(real)" in alt for alt in found.alts)
    assert all(link[1:] in found.ids for link in found.loads if link.startswith("#"))


def test_the_run_is_drawn_from_data_to_evaluation(run, page):
    drawn = flow(read_runs([run])[0])
    assert drawn is not None
    names = [box.name for box in drawn.boxes]
    assert names == ["questions", "diffuseq", *QUICK_STAGES, "test split"]
    boxes = dict(zip(names, drawn.boxes, strict=True))
    assert boxes["stage-1"].kind == "student θ, from the stage before"
    best = "coverage 0.800 at step 10"
    assert boxes["stage-1"].lines == ["sid + diff_instruct", "300 steps of 64", "10 s", best]
    assert [name for name, box in boxes.items() if not box.done] == ["start"]
    assert boxes["test split"].lines == ["9 × 8 outputs", "teacher in 1, 100 calls", "student in 1, 4 calls"]
    text = page.partition('<ol class="flow">')[2].partition("</ol>")[0]
    assert text.count("<li") == len(names)
    assert text.count('class="open"') == 1


def test_the_final_table_is_that_of_the_results(run, page):
    head, *lines = Reader(page).cells["final"]
    rows = json.loads((run / "report" / "results.json").read_text())["rows"]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        for title, cell in zip(head[1:-1], line[1:-1], strict=True):
            result = row["scores"].get(title.split()[0])
            if result is None:
                assert cell == ""
                continue
            ends = [number(end) for end in result["interval"] or ()]
            assert cell == number(result["value"]) + ("–".join(ends) if len({*ends}) == 2 else "")
    assert {title.split()[0] for title in head[1:-1]} == {name for row in rows for name in row["scores"]}


def test_time_stages_and_choices_have_their_tables(page):
    cells = Reader(page).cells
    assert ["teacher, 100 calls", "100", "150", "1.50", ""] in cells["timing"]
    assert ["student stage-3, 1 call", "1", "1.5", "1.50", "100 ×"] in cells["timing"]
    assert [line[0] for line in cells["stages"][1:]] == [
        "student stage-1, 1 call",
        "student stage-2, 1 call",
        "change from student stage-1",
        "student stage-3, 1 call",
        "change from student stage-2",
    ]
    single, chosen = (line for line in cells["candidates"] if line[0] == "student stage-3, 1 call")
    assert (single[1], chosen[1]) == ("single", "mbr-8/bleu")


def test_outputs_stand_side_by_side_and_are_judged_and_escaped(page):
    lines = Reader(page).cells["outputs"]
    assert [line[0] for line in lines[:3]] == ["source", "reference", "teacher, 100 calls"]
    assert lines[0][1] == SOURCE
    assert lines[2][1].split() == [*RIGHT.split(), "the", "reference", "right"]
    assert "&lt;script&gt;" in page
    [broken] = [line for line in Reader(page).cells["degenerate"] if line[0] == "teacher, 1 call"]
    assert broken == ["teacher, 1 call", "72", "37.5%", "37.5%", "0.0%"]


def test_the_same_run_gives_the_same_page_and_its_figures_as_files(run, page, tmp_path):
    result = CliRunner().invoke(main, ["report", str(run), "--figures", str(tmp_path / "figures")])
    assert result.stdout.strip() == str(run / "report" / "index.html")
    assert (run / "report" / "index.html").read_text() == page
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {"validation.png", "health.png", "calls.png", "plane.png"} <= names
    assert (tmp_path / "figures" / "health.png").read_bytes().startswith(b"\x89PNG")


def test_several_runs_share_a_page(run, tmp_path):
    other = make_run(tmp_path / "other", stages=1)
    found = Reader(report(run, other, "-o", tmp_path / "page.html", "--title", "Two & more"))
    assert [line for line in found.cells["final"] if len(line) == 1] == [["whole"], ["other"]]
    assert found.cells["what"][0] == ["", "whole", "other"]
    assert any("other: student stage-1" in line[0] for line in found.cells["outputs"])
    assert "Two &amp; more" in (tmp_path / "page.html").read_text()


def test_nothing_is_drawn_before_it_is_asked_for():
    heavy = "{'matplotlib', 'jinja2', 'torch'}"
    code = f"import sys, dlmone.report, dlmone.cli.commands.report; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
