"""docs/objectives.md: the plugin on the page is one, and keeps the contract."""

import re
from pathlib import Path

from dlmone.registry import Registry
from dlmone.registry.schema import ObjectiveSlot
from dlmone.testing import check_objective

PAGE = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")


def test_the_example_is_a_plugin_that_keeps_the_contract(tmp_path: Path) -> None:
    [example, check] = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    path = tmp_path / "my_consistency.py"
    path.write_text(example, encoding="utf-8")
    registry = Registry.discover([path])
    assert not registry.broken
    check_objective(registry.create("objectives", ObjectiveSlot.model_validate({"use": "my_consistency"})))
    assert "check_objective(Consistency(Options()))" in check
