"""The main job end to end at the smallest size: teacher, two stages, final table, and what they leave."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import dlmone
from dlmone.core import Example
from dlmone.evaluation.samples import read_samples
from dlmone.generation.inference import generate_samples
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.runtime.device import Compute

RECIPE = Path(__file__).parents[1] / "tiny.toml"


def command(*words: object, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DLMONE_CACHE": str(cache)}
    line = [sys.executable, "-m", "dlmone", *map(str, words)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    root = tmp_path_factory.mktemp("whole")
    answer = command("run", RECIPE, "--run-dir", root / "run", cache=root / "cache")
    assert answer.returncode == 0, answer.stderr
    return root / "run", root / "cache", answer.stdout


def rows(run: Path) -> list[dict]:
    return json.loads((run / "report" / "results.json").read_text())["rows"]


def test_the_table_shows_student_teacher_and_copying(finished: tuple[Path, Path, str]) -> None:
    run, _, table = finished
    plan = [(row["model"], row["calls"]) for row in rows(run)]
    assert plan == [
        ("copy", None),
        ("teacher", 1),
        ("teacher", 4),
        ("student, stage-1", 1),
        ("student, stage-2", 1),
        ("student, stage-2", 2),
        ("student, stage-2", 4),
    ]
    wanted = {"bleu", "rouge_l", "dist_1", "self_bleu", "div_4", "fidelity", "copy_rate", "coverage"}
    for row in rows(run):
        assert wanted <= set(row["scores"])
        assert all("dlmone:" in score["signature"] for score in row["scores"].values())
        assert row["milliseconds_per_sample"] is None or row["milliseconds_per_sample"] > 0
    assert rows(run)[0]["scores"]["copy_rate"]["value"] == 1
    assert all(name in table for name in wanted)


def test_what_is_logged_shows_health(finished: tuple[Path, Path, str]) -> None:
    run, _, _ = finished
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for stage in ("stage-1", "stage-2"):
        trained = [e for e in entries if e["stage"] == stage and e["kind"] == "train"]
        assert len(trained) == 8
        assert {"gradient/score", "gradient/adversarial"} <= set(trained[0])
        assert {"score/teacher_estimator_gap", "adversarial/d_real"} <= set(trained[0])
        checks = [e for e in entries if e["stage"] == stage and e["kind"] == "validation"]
        assert [e["step"] for e in checks] == [0, 4, 8]
        signs = {"score/teacher_estimator_gap", "adversarial/d_real", "adversarial/d_fake", "gradient/score"}
        assert signs <= set(checks[-1])
        for which in ("raw", "ema"):
            scores = [e["ema/bleu"] for e in checks]
            assert all(
                e["interval/low"] <= score <= e["interval/high"]
                for e, score in zip(checks, scores, strict=True)
            )
            assert {f"{which}/{key}" for key in ("bleu", "empty", "repetitive", "mean_length")} <= set(
                checks[0]
            )


def test_the_best_student_is_chosen_by_validation_and_starts_the_next_stage(
    finished: tuple[Path, Path, str],
) -> None:
    run, _, _ = finished
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for stage in ("stage-1", "stage-2"):
        scores = {e["step"]: e["ema/bleu"] for e in entries if e["stage"] == stage and "ema/bleu" in e}
        facts = json.loads((run / stage / "best" / "config.json").read_text())["student"]
        assert facts["best"] == max(scores.values())
        assert scores[facts["best_step"]] == facts["best"]
    best, student = (read_tensors(run / "stage-2" / "best"), read_tensors(run / "student"))
    assert all(torch.equal(value, student[name]) for name, value in best.items())


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["config"]) == json.loads((folder / "config.json").read_text())
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def test_the_published_student_writes_what_the_run_wrote(finished: tuple[Path, Path, str]) -> None:
    """Loaded alone, without its teacher, in another batch size: keyed draws, the same texts."""
    run, _, _ = finished
    student = dlmone.load(run / "student", device="cpu").generator
    written = read_samples(run / "samples" / "student-stage-2-1.jsonl").samples
    examples = [Example(sample.id, sample.source, sample.reference) for sample in written[:5]]
    compute = Compute.start(ComputeTable(device="cpu", precision="float32"))
    texts = [
        [s.candidates for s in generate_samples(student, examples, compute, candidates=2, batch=size).samples]
        for size in (1, 5)
    ]
    assert texts[0] == texts[1]
    # The run wrote in the machine's precision, where a near tie can fall the other way.
    same = [a[:2] == b.candidates[:2] for a, b in zip(texts[0], written, strict=False)]
    assert sum(same) >= 3


def test_scoring_the_written_samples_gives_the_table_again(finished: tuple[Path, Path, str]) -> None:
    run, cache, _ = finished
    samples = run / "samples" / "teacher-4.jsonl"
    answer = command("evaluate", samples, "--metrics", "bleu,dist_1,questions", "--json", cache=cache)
    assert answer.returncode == 0, answer.stderr
    row = next(row for row in rows(run) if (row["model"], row["calls"]) == ("teacher", 4))
    for name in ("bleu", "dist_1", "fidelity", "coverage"):
        assert f'"{name}"' in answer.stdout
        assert str(row["scores"][name]["value"]) in answer.stdout


def test_one_flag_swaps_the_objective_and_the_cached_teacher_is_reused(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    run, cache, _ = finished
    swap = "stages.*.objectives.score.use=diff_instruct"
    answer = command("run", RECIPE, "--run-dir", tmp_path / "run", "--set", swap, "--no-report", cache=cache)
    assert answer.returncode == 0, answer.stderr
    assert "taken from the cache" in answer.stderr
    resolved = (tmp_path / "run" / "recipe.toml").read_text()
    assert resolved.count('use = "diff_instruct"') == 2
    assert "sid" not in resolved.replace('weighting = "sid"', "")
    ours, theirs = read_tensors(tmp_path / "run" / "teacher"), read_tensors(run / "teacher")
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(entry["gradient/score"] > 0 for entry in entries if "gradient/score" in entry)


@pytest.mark.parametrize("what", ["another model", "another step", "a teacher"])
def test_the_best_student_of_another_model_is_not_built_on(
    finished: tuple[Path, Path, str], tiny_run: Path, tmp_path: Path, what: str
) -> None:
    run, cache, _ = finished
    shutil.copytree(run, tmp_path / "run")
    best = tmp_path / "run" / "stage-1" / "best"
    config = json.loads((best / "config.json").read_text())
    if what == "another step":
        config["student"]["best_step"] += 1
        (best / "config.json").write_text(json.dumps(config))
    else:
        shutil.rmtree(best)
        shutil.copytree(tiny_run / ("teacher" if what == "a teacher" else "student"), best)
    if what == "another model":
        other = json.loads((best / "config.json").read_text())
        other["student"] = config["student"]
        (best / "config.json").write_text(json.dumps(other))
        save_file(
            load_file(best / "model.safetensors"),
            best / "model.safetensors",
            metadata={"config": json.dumps(other)},
        )
    answer = command("run", RECIPE, "--resume", tmp_path / "run", "--no-report", cache=cache)
    assert answer.returncode == 2, answer.stderr
    said = answer.stderr.splitlines()[-1]
    assert said.startswith("error: stages.stage-1: the best student is not the stage's own; without --resume")
    assert str(best) in said
    assert len(said) < 600
    assert (tmp_path / "run" / "report" / "results.json").exists()


def test_the_resolved_recipe_repeats_the_run(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    run, cache, _ = finished
    answer = command("run", run / "recipe.toml", "--run-dir", tmp_path / "again", "--no-report", cache=cache)
    assert answer.returncode == 0, answer.stderr
    again = rows(tmp_path / "again")
    assert [row["scores"] for row in again] == [row["scores"] for row in rows(run)]
