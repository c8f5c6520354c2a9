"""Models on the Hugging Face hub, tried against a stand-in of its HTTP interface (conftest.py)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import dlmone
from dlmone.cli import main
from dlmone.core import Example, InputError
from dlmone.models.configuration import fingerprint
from dlmone.models.folder import publish
from dlmone.models.hub import Address, parse, pinned
from dlmone.models.hub_card import hub_card
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import Registry
from dlmone.training.saving.run_directory import RunDirectory

yaml = pytest.importorskip("yaml")

OPTIONS = DiffuSeqOptions(
    seq_len=24, hidden_dim=16, hidden_t_dim=32, width=32, layers=1, heads=2, tokenizer="words"
)
SECRET = "hf_a-secret-of-the-tests"
TEXT = "what is rain ?"


def dlm(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert SECRET not in result.output
    return result


def student(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    teacher = DiffuSeqTeacher.build(OPTIONS, [Example("1", TEXT, "tell me about rain")])
    facts = {"t_init": 1490, "unit_input": False}
    return publish(
        folder, teacher, "diffuseq", "student", "# A card\n\n    dlmone generate PATH", student=facts
    )


def scored_run(path: Path) -> Path:
    """Make what a run leaves: a student, its recipe, and its final scores beside those of other weights."""
    folder = student(path / "student")
    (path / "recipe.toml").write_text(
        '# Resolved from qqp.\n\nname = "rain"\nseed = 7\n\n[data]\nuse = "drops"\n'
    )
    (path / "report").mkdir()

    def row(weights: str, value: float) -> dict[str, Any]:
        return {
            "model": "student",
            "kind": "system",
            "samples": 10,
            "candidates": 1,
            "selector": "first",
            "calls": 1,
            "milliseconds_per_sample": None,
            "provenance": {
                "model": weights,
                "sampler": "re-noising",
                "steps": None,
                "augment": "none",
                "calls": 1,
                "selector": None,
                "drawn": None,
                "seeds": [7],
                "precision": None,
                "versions": None,
            },
            "scores": {
                "bleu": {"value": value, "interval": None, "direction": "higher", "signature": "metric:bleu"}
            },
        }

    rows = [row("0" * 12, 0.9), row(fingerprint(folder), 0.25)]
    text = json.dumps({"format": "dlmone.results/1", "bootstrap": None, "rows": rows})
    (path / "report" / "results.json").write_text(text)
    return path


def test_what_is_pushed_is_what_generates(hub: Any, tmp_path: Path) -> None:
    folder = student(tmp_path / "made")
    pushed = dlm("push", folder, "me/rain", "--license", "apache-2.0", "--language", "en")
    assert pushed.exit_code == 0, pushed.output
    commit = hub.branches["me/rain"]["main"]
    assert pushed.stdout == f"hub:me/rain@{commit}\n"
    files = hub.commits[commit]
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert set(files) == {".gitattributes", "README.md", "config.json", "model.safetensors", "tokenizer.json"}
    wanted = dlmone.load(folder, device="cpu").generate([TEXT])
    for name in ("hub:me/rain", "hub:me/rain@main", f"hub:me/rain@{commit}"):
        assert dlmone.load(name, device="cpu").generate([TEXT]) == wanted
    assert dlm("generate", "hub:me/rain", TEXT).stdout == dlm("generate", folder, TEXT).stdout


def test_a_revision_stays_what_it_was(hub: Any, tmp_path: Path) -> None:
    first, second = student(tmp_path / "first"), student(tmp_path / "second", seed=1)
    before = dlm("push", first, "me/rain").stdout.strip()
    again = dlm("push", second, "me/rain")
    assert again.exit_code == 0, again.output
    assert dlm("push", second, "me/rain@trial").exit_code == 0
    load = lambda name: dlmone.load(name, device="cpu").fingerprint  # noqa: E731
    assert load(before) == fingerprint(first)
    assert load("hub:me/rain") == load("hub:me/rain@trial") == fingerprint(second)


def test_pull_copies_the_model_and_nothing_else(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = student(tmp_path / "made")
    dlm("push", folder, "me/rain")
    hub.add("me/rain", "main", {"evil.py": b"raise SystemExit", "weights.bin": b"pickle"})
    monkeypatch.chdir(tmp_path)
    pulled = dlm("pull", "me/rain")
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stdout == "rain\n"
    assert pulled.stderr.splitlines()[-1] == f"hub:me/rain@{hub.branches['me/rain']['main']}"
    assert {path.name for path in Path("rain").iterdir()} == {
        "README.md", "config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip
    assert not any(path.is_symlink() for path in Path("rain").iterdir())
    again = dlm("pull", "me/rain")
    assert (again.exit_code, again.stderr.count("rain is there already")) == (2, 1)


def test_what_the_cache_has_needs_no_connection(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dlm("push", student(tmp_path / "made"), "me/rain")
    wanted = dlm("generate", "hub:me/rain", TEXT).stdout
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    assert dlm("generate", "hub:me/rain", TEXT).stdout == wanted
    refused = dlm("generate", "hub:me/snow", TEXT)
    assert refused.exit_code == 2
    assert "hub:me/snow: " in refused.stderr
    assert "its cache does not hold this" in refused.stderr or "cache" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("generate", "hub:me/snow", TEXT), "hub:me/snow: the hub has no such model"),
        (("generate", "hub:me/rain@older", TEXT), "hub:me/rain@older: the model has no such revision"),
        (("generate", "hub:rain", TEXT), "hub:rain: expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION"),
        (("pull", "hub:me/-.-"), "hub:me/-.-: the hub can have no such name"),
        (("check", "qqp", "--set", "teacher.path=hub:me/snow"), "hub:me/snow: the hub has no such model"),
    ],
)
def test_what_the_hub_does_not_give_is_one_sentence(
    hub: Any, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    dlm("push", student(tmp_path / "made"), "me/rain")
    result = dlm(*arguments)
    assert (result.exit_code, result.stderr.count("error:")) == (2, 1), result.output
    assert sentence in result.stderr.splitlines()[-1]


def test_without_a_token_nothing_is_sent(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    result = dlm("push", student(tmp_path / "made"), "me/rain")
    assert result.exit_code == 2
    assert "hf auth login" in result.stderr
    assert hub.branches == {}


def test_a_broken_model_is_refused_before_anything_is_sent(hub: Any, tmp_path: Path) -> None:
    folder = student(tmp_path / "made")
    (folder / "model.safetensors").write_bytes(b"")
    assert dlm("push", folder, "me/rain").exit_code == 2
    assert (hub.branches, hub.tokens) == ({}, [])


def test_the_card_has_the_scores_of_these_weights(hub: Any, tmp_path: Path) -> None:
    run = scored_run(tmp_path / "run")
    assert dlm("push", run, "me/rain", "--dataset", "drops", "--license", "mit").exit_code == 0
    text = hub.commits[hub.branches["me/rain"]["main"]]["README.md"].decode()
    header, body = text.removeprefix("---\n").split("\n---\n", 1)
    data = yaml.safe_load(header)
    assert (data["library_name"], data["license"], data["datasets"]) == ("dlmone", "mit", ["drops"])
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"] == {"name": "drops", "type": "drops", "split": "test"}
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"], metric["config"]) == ("bleu", 0.25, "metric:bleu")
    assert "dlmone generate hub:me/rain" in body
    assert "Seed 7" in body
    assert 'name = "rain"' in body


def test_a_model_that_was_pulled_keeps_its_metadata_when_it_is_pushed(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dlm("push", scored_run(tmp_path / "run"), "me/rain", "--license", "mit")
    dlm("pull", "me/rain")
    assert dlm("push", "rain", "you/rain", "--language", "en").exit_code == 0
    first, again = (
        hub.commits[hub.branches[repo]["main"]]["README.md"].decode().split("---\n", 2)
        for repo in ("me/rain", "you/rain")
    )
    old, new = yaml.safe_load(first[1]), yaml.safe_load(again[1])
    assert (new["license"], new["language"]) == ("mit", ["en"])
    assert new["model-index"][0]["results"] == old["model-index"][0]["results"]
    assert "library_name" not in again[2]
    assert again[2].count("## Recipe") == 1


def test_a_run_names_the_commit_that_it_began_from(hub: Any, tmp_path: Path) -> None:
    dlm("push", student(tmp_path / "made"), "me/rain")
    folder = dlmone.models.resolve.model_folder("hub:me/rain", Registry.discover())
    named = f"hub:me/rain@{hub.branches['me/rain']['main']}"
    assert pinned(folder) == named
    assert pinned(tmp_path) is None
    models = RunDirectory(tmp_path / "run", main=True).check_models({"teacher.path": folder})
    assert models["teacher.path"]["path"] == named


@pytest.mark.parametrize(
    "text", ["", "hub:", "hub:a", "a/b/c", "hub:a/b@", "hub:a/b@c@d", "a b/c", "hub:a/b@ c"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match="expected hub:OWNER/NAME"):
        parse(text)


def test_addresses() -> None:
    assert parse("me/rain") == parse("hub:me/rain") == Address("me/rain")
    assert str(parse("hub:me/rain@v1.0")) == "hub:me/rain@v1.0"


def test_metadata_that_the_hub_would_refuse(tmp_path: Path) -> None:
    card = hub_card(student(tmp_path / "made"), "me/rain")
    assert yaml.safe_load(card.split("---")[1])["tags"] == [
        "dlmone",
        "diffusion",
        "dlmone-student",
        "diffuseq",
    ]


def test_the_library_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    result = dlm("pull", "me/rain")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: models of the hub take dlmone[hub]: pip install 'dlmone[hub]'\n",
    )
