"""The tracker on docs/trackers.md is a plugin that works."""

import json
import re
from pathlib import Path

from dlmone.registry import Registry
from dlmone.testing import check_tracker

PAGE = (Path(__file__).parents[2] / "docs" / "trackers.md").read_text(encoding="utf-8")


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    [example, check] = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    path = tmp_path / "journal.py"
    path.write_text(example, encoding="utf-8")
    registry = Registry.discover([path])
    assert not registry.broken
    check_tracker(lambda: registry.load("trackers", "journal")(None), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines][:2] == [("one", 0), ("one", 1)]
    assert "check_tracker(lambda: Journal(None), tmp_path)" in check
