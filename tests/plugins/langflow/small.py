"""A small LangFlow of this test package's own."""

from typing import Any

import torch

from dlmone.core import Example
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.testing.toy import EXAMPLES

SIZES: dict[str, Any] = {
    "length": 14,
    "width": 8,
    "condition": 4,
    "layers": 1,
    "heads": 2,
    "tokenizer": "words",
    "bayes_ramp": 0,
}
LINES = [Example(example.id, "", example.target) for example in EXAMPLES]


def teacher_of(seed: int = 0, perturb: float = 0.3, **options: Any) -> LangFlowTeacher:
    """Return a small teacher whose layers that start at zero no longer are."""
    torch.manual_seed(seed)
    conditional = options.get("conditional", False)
    teacher = LangFlowTeacher.build(LangFlowOptions(**(SIZES | options)), EXAMPLES if conditional else LINES)
    with torch.no_grad():
        for parameter in teacher.network.parameters():
            parameter += perturb * torch.randn_like(parameter)
    return teacher.eval()
