"""docs/plugins.md: its metric is a plugin that works, and its tables name every hook."""

import re
from pathlib import Path

import dlmone.testing
from dlmone.core import PairMetric
from dlmone.registry import Registry, hooks
from dlmone.registry.schema import EvaluatorSlot

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_the_metric_keeps_the_contract(tmp_path: Path) -> None:
    example, check, follower = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    path = tmp_path / "recall.py"
    path.write_text(example, encoding="utf-8")
    registry = Registry.discover([path])
    assert not registry.broken
    metric = registry.create("evaluators", EvaluatorSlot(use="recall"))
    assert isinstance(metric, PairMetric)
    test: dict[str, object] = {"Recall": lambda _: metric}
    exec(check, test)
    test["test_the_contract"]()  # type: ignore[operator]
    [score] = metric.evaluate(test["SAMPLES"])
    assert score.per_sample == (1 / 2, 1)
    (tmp_path / "follower.py").write_text(follower, encoding="utf-8")
    assert not Registry.discover([tmp_path / "follower.py"]).broken


def test_every_hook_is_in_a_table() -> None:
    known = {name for name, value in vars(hooks).items() if hasattr(value, "dlmone_spec")}
    assert known
    assert {row.partition("(")[0] for row in re.findall(r"^\| `([\w(), ]+)` \|", PAGE, re.MULTILINE)} == known


def test_every_check_is_one() -> None:
    named = set(re.findall(r"`(check_\w+)`", PAGE))
    assert named <= set(dlmone.testing.__all__)
    assert named == {name for name in dlmone.testing.__all__ if name.startswith("check_")} - {"check_space"}
