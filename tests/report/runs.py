"""Made-up runs, the page that dlmone report makes of them, and what a browser would see of it."""

import json
from html.parser import HTMLParser
from pathlib import Path

from click.testing import CliRunner

from dlmone.cli import main
from dlmone.core import Sample
from dlmone.evaluation.confidence import Resampling
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.results import results
from dlmone.evaluation.scoring import Setting, score, score_baselines
from dlmone.generation.inference import save_samples
from dlmone.registry import Registry, load_recipe

RIGHT = "how can i become a famous doctor ?"
SOURCE = "what does it take to be a famous doctor ?"
#: What three kinds of systems write for one source: alike, mixed, and broken.
GOOD = (RIGHT, "where do i start to become a famous doctor ?", RIGHT)
MIXED = (RIGHT, "how where become a famous doctor ?", SOURCE)
BROKEN = ("", "become become <script>alert(1)</script>", "become")
STAGES = ("stage-1", "stage-2", "stage-3")


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


def report(*args: object) -> str:
    """Run the command and return the page it wrote."""
    result = CliRunner().invoke(main, ["report", *map(str, args)])
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip()).read_text()
