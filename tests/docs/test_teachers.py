"""docs/teachers.md: the plugin on the page is one, keeps the contract, learns; its check is as printed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from dlmone.core import Denoiser, NoiseSchedule, Space, Teacher, TrainingLoss
from dlmone.registry import Registry
from dlmone.registry.schema import Pretrain
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing.toy import EXAMPLES
from dlmone.training.pretraining import Pretraining

PAGE = (Path(__file__).parents[2] / "docs" / "teachers.md").read_text(encoding="utf-8")
EXAMPLE, CHECK = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    path = tmp_path / "my_teacher.py"
    path.write_text(EXAMPLE, encoding="utf-8")
    registry = Registry.discover([path])
    assert not registry.broken
    return registry


def test_the_example_keeps_the_contract(registry: Registry) -> None:
    family = registry.load("teachers", "my_teacher")
    names: dict[str, Any] = {"WordTeacher": family, "Options": family.__init__.__globals__["Options"]}
    exec(CHECK, names)  # the check as the page prints it


def test_the_example_learns(registry: Registry) -> None:
    family = registry.load("teachers", "my_teacher")
    options = registry.options("teachers", "my_teacher", {"length": 12}, "teacher")
    torch.manual_seed(0)
    teacher = family.build(options, EXAMPLES)
    config = {"steps": 60, "batch": 8, "optimizer": {"lr": 1e-2}, "schedule": "constant"}
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
    trained = Pretraining(teacher, Pretrain.model_validate(config), EXAMPLES, compute, 0)
    losses = [trained.advance(norms=False)["cross_entropy"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_page_names_what_there_is() -> None:
    """Each abstract method and each option of the contract is on the page."""
    public: set[str] = set()
    for part in (Teacher, Denoiser, Space):
        public |= set(part.__abstractmethods__)
    public |= {name for name in vars(Teacher) if not name.startswith("_")} - {"copy_network"}
    public |= {name for name in vars(Denoiser) if not name.startswith("_")} - {
        "pack",
        "to_precision",
        "forward",
    }
    public |= {
        "null_condition",
        "encode",
        "embed_condition",
        "hidden_token",
        "round",
        "blank",
        "insert_blanks",
    }
    public |= set(NoiseSchedule.__abstractmethods__) | set(TrainingLoss.__dataclass_fields__) - {
        "loss_B",
        "logged",
    }
    assert sorted(name for name in public if not re.search(rf"`[^`]*\b{name}\b[^`]*`", PAGE)) == []
