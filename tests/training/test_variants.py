"""Variants of the final evaluation: on a finished run, without any training, each row saying what it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dlmone.cli import main
from dlmone.evaluation.samples import read_samples
from dlmone.registry import Registry, load_recipe

TINY = Path(__file__).parents[1] / "tiny.toml"
SMALL = [
    "--set",
    "stages.stage-2=false",
    "--set",
    "evaluation.student_steps=[1]",
    "--device",
    "cpu",
    "--no-report",
]
SWEEP = """
[evaluation.variants]
"pad-1" = { augment = { use = "pad", probability = 1.0 } }
"repel-0" = { sampler = { use = "repel", strength = 0.0 } }
"repel-9" = { sampler = { use = "repel", strength = 9.0 }, steps = 2 }
padded-teacher = { of = "teacher", augment = { use = "pad" } }

[evaluation.select]
mbr = { use = "mbr", utility = "chrf", k = [2, 8] }
"""


def dlmone(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run without variants, and beside it the recipe of a sweep."""
    root = tmp_path_factory.mktemp("variants")
    tiny = TINY.read_text().replace('name = "tiny"', 'name = "sweep"')
    (root / "sweep.toml").write_text(tiny + SWEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLMONE_CACHE", str(root / "cache"))
        answer = dlmone("run", TINY, "--run-dir", root / "run", *SMALL)
    assert answer.exit_code == 0, answer.stderr
    return root / "run"


@pytest.fixture(scope="module")
def swept(run: Path) -> tuple[str, Result]:
    """What was logged before the sweep, and the sweep."""
    logged = (run / "metrics.jsonl").read_text()
    return logged, dlmone("run", run.parent / "sweep.toml", "--resume", run, *SMALL)


def rows(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / "report" / "results.json").read_text())["rows"]


def test_a_sweep_of_a_finished_run_trains_nothing(run: Path, swept: tuple[str, Result]) -> None:
    logged, answer = swept
    assert answer.exit_code == 0, answer.stderr
    assert (run / "metrics.jsonl").read_text() == logged
    assert 'name = "sweep"' in (run / "recipe.toml").read_text()


def test_every_row_says_what_it_is(run: Path, swept: tuple[str, Result]) -> None:
    copy, *others = rows(run)
    assert (copy["kind"], copy["setting"], copy["chosen_from"]) == ("baseline", None, None)
    plain, *chosen = (others[i::3] for i in range(3))
    keys = ("role", "stage", "variant", "steps", "sampler", "augment")
    assert [tuple(row["setting"][key] for key in keys) for row in plain] == [
        ("teacher", None, None, 1, "ddim", "none"),
        ("teacher", None, None, 4, "ddim", "none"),
        ("student", "stage-1", None, 1, "re-noising", "none"),
        ("student", "stage-1", "pad-1", 1, "re-noising", "pad(probability=1.0)"),
        ("student", "stage-1", "repel-0", 1, "repel(strength=0.0)", "none"),
        ("student", "stage-1", "repel-9", 2, "repel(strength=9.0)", "none"),
        ("teacher", None, "padded-teacher", 4, "ddim", "pad"),
    ]
    assert [row["calls"] for row in plain] == [1, 4, 1, 1, 1, 2, 4]
    for size, picked in zip((2, 8), chosen, strict=True):
        for row, one in zip(plain, picked, strict=True):
            assert (one["model"], one["setting"]) == (row["model"], row["setting"])
            assert (one["selector"], one["chosen_from"]) == (f"mbr-{size}/chrf", size)
            assert "coverage" not in one["scores"]
    for row in plain:
        assert (row["selector"], row["chosen_from"], row["candidates"]) == ("first", None, 8)
        written = row["provenance"]
        assert (written["sampler"], written["augment"]) == (
            row["setting"]["sampler"],
            row["setting"]["augment"],
        )
        assert "coverage" in row["scores"]


def test_each_variant_leaves_its_samples(run: Path, swept: tuple[str, Result]) -> None:
    samples = {path.stem: read_samples(path).samples for path in (run / "samples").glob("*.jsonl")}
    plain = samples["student-stage-1-1"]
    assert samples["student-stage-1-1-repel-0"] == plain
    pushed = samples["student-stage-1-2-repel-9"]
    assert pushed != plain
    padded = samples["teacher-4-padded-teacher"]
    assert [one.source for one in padded] == [one.source for one in plain], "the example's own condition"
    assert read_samples(run / "samples" / "student-stage-1-1-pad-1.jsonl").provenance.augment == (
        "pad(probability=1.0)"
    )


def test_the_table_shows_them(run: Path, swept: tuple[str, Result]) -> None:
    shown = swept[1].stdout
    assert "teacher, padded-teacher" in shown
    assert "One candidate per sample, selected by mbr-8/chrf:" in shown
    assert max(len(line) for line in shown.splitlines()) <= 120
    text = (run / "report" / "table.md").read_text()
    assert "| student, stage-1, repel-9, mbr-2/chrf | 2 |" in text
    assert text.count("- `fidelity`: ") == 2, "of eight candidates, and of the chosen one"


@pytest.mark.parametrize(
    ("setting", "code", "sentence"),
    [
        (
            "select.mbr.use=mrb",
            3,
            "evaluation.select.mbr.use: there is no selector 'mrb'; did you mean 'mbr'?",
        ),
        ("select.mbr={use='mbr',k=[9]}", 2, "evaluation.select.mbr.k: cannot select among 9 candidates: "),
        ("select.mbr={use='mbr',utility='dist_1'}", 2, "dist_1 does not compare two texts"),
        ("variants.x={step=2}", 2, "evaluation.variants.x.step: unknown key; did you mean 'steps'?"),
        ('variants."a/b"={steps=2}', 2, "expected a name of letters, digits and _.+-"),
        ("variants.x={of='stage-1'}", 2, "evaluation.variants.x.of: expected 'student' or 'teacher'"),
        (
            "variants.x={augment={use='pad',probability=2}}",
            2,
            "probability: expected a number less than or equal",
        ),
        (
            "variants.x={sampler={use='diffuseq_ddpm'}}",
            2,
            "evaluation.variants.x: DiffuSeq's samplers begin at the end of the schedule",
        ),
        (
            "variants.x={sampler={use='ddim'},steps=5000}",
            2,
            "evaluation.variants.x: steps: there are 1491 times",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    run: Path, setting: str, code: int, sentence: str
) -> None:
    report = run / "report" / "results.json"
    before = report.read_text()
    answer = dlmone("run", TINY, "--resume", run, *SMALL, "--set", f"evaluation.{setting}")
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert report.read_text() == before


def test_the_shipped_sweep_has_its_variants() -> None:
    recipe = load_recipe("ablations/diversity", registry=Registry.discover()).recipe
    variants = recipe.evaluation.variants
    pads = {one.augment.options["probability"] for one in variants.values() if one.augment}
    assert pads == {0.3, 0.5, 0.7}
    strengths = {one.sampler.options["strength"] for one in variants.values() if one.sampler}
    assert len(strengths) > 2
    assert {2, 4} <= set(recipe.evaluation.student_steps)
    assert recipe.evaluation.select["mbr"].use == "mbr"
    assert load_recipe("qqp", registry=Registry.discover()).recipe.stages == recipe.stages
