"""LangFlow's recipe: what it would cost with the published checkpoint, and a quick profile for two cores."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dlmone.cli import main
from dlmone.registry import Registry, load_recipe


def check(*more: str) -> list[str]:
    result = CliRunner().invoke(main, ["check", "lm1b", *more])
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_the_paper_profile_is_of_the_published_size_with_memory_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = check("--profile", "paper")
    [networks] = [line for line in lines if line.startswith("networks")]
    assert "140,472,637 = network 117,031,738 + shared space 23,440,899" in networks
    for part in ("memory about", "stage-1 about", "evaluation about", "total about"):
        assert any(line.startswith(part) for line in lines), part
    assert any("models/langflow-lm1b does not exist" in line for line in lines)


def test_the_quick_profile_needs_nothing_from_outside() -> None:
    recipe = load_recipe("lm1b", registry=Registry.discover()).recipe
    assert recipe.data.use == "question_text"
    assert recipe.teacher.path is None
    assert recipe.teacher.pretrain is not None
    assert recipe.teacher.options["tokenizer"]["use"] == "words"
    assert "perplexity" not in recipe.evaluation.metrics
    lines = check()
    assert not any("not ready" in line for line in lines)
