"""dlmone report: one self-contained page of runs, whatever state they are in."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.core import Sample
from dlmone.evaluation.confidence import Resampling
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.results import results
from dlmone.evaluation.scoring import Setting, score, score_baselines
from dlmone.generation.inference import save_samples
from dlmone.registry import Registry, load_recipe
from dlmone.report.flow import flow
from dlmone.report.log import curve, read_log, smooth
from dlmone.report.paper import paper
from dlmone.report.reading import read_runs

RIGHT = "how can i become a famous doctor ?"
SOURCE = "what does it take to be a famous doctor ?"
#: What three kinds of systems write for one source: alike, mixed, and broken.
GOOD = (RIGHT, "where do i start to become a famous doctor ?", RIGHT)
MIXED = (RIGHT, "how where become a famous doctor ?", SOURCE)
BROKEN = ("", "become become <script>alert(1)</script>", "become")
STAGES = ("stage-1", "stage-2", "stage-3")
QUICK_STAGES = ("start", "stage-1", "sharpen", "sharpen-again", "stage-2")


class Reader(HTMLParser):
    """What a browser would load, and the texts of cells and sections."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str] = []
        self.images = 0
        self.cells: dict[str, list[list[str]]] = {}
        self.section = ""
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.loads += [
            value for key in ("src", "href", "data", "action", "srcset") if (value := found.get(key))
        ]
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "section":
            self.section = str(found["id"])
        if tag == "img":
            self.images += 1
            # A figure's text alternative stands at its first panel.
            self.alts += [alt for alt in (found.get("alt"),) if alt]
        if tag == "tr":
            self.cells.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.cells[self.section][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[self.section][-1][-1] += data


def make_run(path: Path, stages: int = 3, **recipe: str) -> Path:
    """Write a run directory as a run of the quick profile leaves it, with a few outputs for a test split."""
    overrides = [f"{key}={value}" for key, value in recipe.items()]
    registry = Registry.discover()
    resolved = load_recipe("qqp", registry=registry, overrides=overrides)
    table = resolved.dump()
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(table)
    manifest = {
        "command": ["dlmone", "run", "qqp"],
        "seed": 7,
        "compute": "CPU",
        "libraries": {"torch": "2.x"},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    entries = [{"stage": "pretrain", "step": i, "kind": "train", "loss": 1 / i} for i in range(1, 20)]
    for stage in STAGES[:stages]:
        (path / stage / "best").mkdir(parents=True)
        facts = {"student": {"best": 0.8, "best_step": 10}}
        (path / stage / "best" / "config.json").write_text(json.dumps(facts))
        for step in range(0, 21, 10):
            scores = {
                "ema/fidelity": 0.5 + step / 50,
                "raw/fidelity": 0.4,
                "ema/empty": 0.0,
                "ema/copied": 0.1,
            }
            entries.append({"stage": stage, "step": step, "kind": "validation", **scores})
        for step in range(1, 21):
            logged = {"generator/score": -0.1, "estimator/score": 1 / step, "gradient/score": 0.1}
            logged |= {"adversarial/d_real": 0.6, "adversarial/d_fake": 0.5, "seconds_per_step": 0.5}
            logged |= {"score/teacher_estimator_gap": 0.2, "kl/teacher_estimator_gap": 0.3}
            entries.append({"stage": stage, "step": step, "kind": "train", **logged})
    (path / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    rows = []
    evaluators = {
        key: registry.create("evaluators", slot, key)
        for key, slot in resolved.recipe.evaluation.metrics.items()
    }
    written = [("teacher", None, 1, BROKEN), ("teacher", None, 100, GOOD)]
    written += [("student", stage, 1, MIXED) for stage in STAGES[:stages]]
    written += [("student", STAGES[stages - 1], 4, GOOD)]
    for role, stage, calls, texts in written:
        model = f"student, {stage}" if stage else "teacher"
        setting = Setting(role=role, stage=stage, variant=None, steps=calls, sampler="ddim", augment="none")
        where = Provenance.here(f"{path.name} {model}", "ddim", calls, 0)
        samples = [Sample(f"test-{i}", SOURCE, RIGHT, (texts * 3)[:8]) for i in range(9)]
        save_samples(path / "samples" / f"{role}-{stage}-{calls}.jsonl", samples, where)
        rows.append(score(model, samples, where, evaluators, milliseconds=calls * 1.5, setting=setting))
    found = results([*score_baselines(rows[:1], evaluators, ["copy"]), *rows], Resampling(50))
    (path / "report").mkdir()
    (path / "report" / "results.json").write_text(found.text())
    return path


def number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def report(*args: object) -> str:
    """Run the command and return the page it wrote."""
    result = CliRunner().invoke(main, ["report", *map(str, args)])
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip()).read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return report(run, "-o", tmp_path_factory.mktemp("page") / "page.html")


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
    best = "fidelity 0.800 at step 10"
    assert boxes["stage-1"].lines == ["sid + diff_instruct", "200 steps of 64", "10 s", best]
    assert [name for name, box in boxes.items() if not box.done] == ["start", "sharpen", "sharpen-again"]
    assert boxes["test split"].lines == ["9 × 8 outputs", "teacher in 1, 100 calls", "student in 1, 4 calls"]
    text = page.partition('<ol class="flow">')[2].partition("</ol>")[0]
    assert text.count("<li") == len(names)
    assert text.count('class="open"') == 3


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
        "The run has not finished: start, stage-1, sharpen, sharpen-again, stage-2 has no student yet",
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


def test_a_page_replaces_a_page_and_nothing_else(run, tmp_path):
    out = tmp_path / "notes.html"
    out.write_text("my notes")
    result = CliRunner().invoke(main, ["report", str(run), "-o", str(out)])
    assert result.exit_code == 2
    assert f"{out} is there already and is no page of a report" in result.stderr
    assert out.read_text() == "my notes"
    out.write_text("<!DOCTYPE html>an older page")
    assert CliRunner().invoke(main, ["report", str(run), "-o", str(out)]).exit_code == 0
    assert "an older page" not in out.read_text()


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


def test_folders_and_files_in_each_others_place_are_refused_at_once(run, tmp_path, monkeypatch):
    monkeypatch.setattr("dlmone.report.reading.read_runs", lambda paths: pytest.fail("something was read"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for args, sentence in (
        (["-o", tmp_path / "folder"], "folder: a folder, where the page's file was expected"),
        (["--figures", tmp_path / "file"], "file: a file, where the figures' folder was expected"),
    ):
        result = CliRunner().invoke(main, ["report", str(run), *map(str, args)])
        assert result.exit_code == 2
        assert sentence in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_run_is_refused(run, tmp_path):
    def refusal(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["report", *map(str, args)])
        assert len(result.stderr.splitlines()) == 1
        return result.exit_code, result.stderr

    code, sentence = refusal(tmp_path)
    assert code == 2
    assert f"{tmp_path}: there is no run here" in sentence
    code, sentence = refusal(run, run / ".." / run.name)
    assert code == 2
    assert "is given twice" in sentence
    code, sentence = refusal(run, "--select", "mbl")
    assert code == 3
    assert "mbl" in sentence
    assert "mbr" in sentence


def test_the_papers_figures_stand_beside_its_own_tasks_alone(page, tmp_path):
    assert "paper" not in Reader(page).ids
    run = make_run(tmp_path / "real", stages=1)
    recipe = run / "recipe.toml"
    real = re.sub(
        r'\[data\]\nuse = "questions"[^\[]*',
        '[data]\nuse = "jsonl"\npath = "data/QQP"\n\n',
        recipe.read_text(),
    )
    recipe.write_text(real)
    table, times = paper().tables(read_runs([run]))
    rows = [[cell.text for cell in row] for row in table.rows]
    assert ["DLM-One, 1 call", "Table 1", "0.1788", "0.5265", "0.7851", "0.9671", "0.3418", "0.6256"] in rows
    assert rows[-1][0] == "student stage-1, 4 calls"
    assert [cell.text for cell in times.rows[0]][1:] == ["0.03", "0.51", "2.25", "5.20", "7.70", "14.94"]


def test_the_papers_table_3_agrees_with_its_own_last_row():
    rows = paper().content["tasks"]["qqp"]["rows"]
    first, second = (row["values"] for row in rows if row["table"] == 3)
    changes = [round(100 * (new / old - 1), 1) for old, new in zip(first, second, strict=True)]
    assert changes == [21.8, 9.0, 6.1, 3.2, 55.7, -19.4]


def test_stages_follow_one_another_on_one_axis(run):
    log = read_log(run / "metrics.jsonl")
    assert [(stage.name, stage.start) for stage in log.distilled().stages] == [
        ("stage-1", 0),
        ("stage-2", 20),
        ("stage-3", 40),
    ]
    assert [one.steps for one in log.curves("validation", "ema/fidelity")] == [
        [0, 10, 20],
        [20, 30, 40],
        [40, 50, 60],
    ]
    assert log.seconds("stage-2") == pytest.approx(10.0)


def test_smoothing_keeps_the_last_step_and_forgets_what_is_not_finite():
    entries = [{"kind": "train", "step": i, "x": float("nan") if i == 7 else 1.0} for i in range(3000)]
    line = smooth(curve(entries, "train", "x"))
    assert line.steps[-1] == 2999
    assert len(line.steps) < 500
    assert set(line.values) == {1.0}


def test_nothing_is_drawn_before_it_is_asked_for():
    heavy = "{'matplotlib', 'jinja2', 'torch'}"
    code = f"import sys, dlmone.report, dlmone.cli.commands.report; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
