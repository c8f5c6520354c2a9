"""The small official model, and its outputs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import Batch, Noise
from dlmone.plugins.langflow.convert import load_official, options_of
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.text import Vocabulary
from dlmone.plugins.tokenizers.words import words

DATA = Path(__file__).parents[2] / "data" / "langflow"


@pytest.fixture(scope="session")
def official() -> Callable[[str], dict[str, Tensor]]:
    """Read a file of official outputs."""
    return lambda name: load_file(DATA / f"{name}.safetensors")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """A tokenizer of as many tokens as the small model has."""
    return Vocabulary(words([" ".join(f"word{i}" for i in range(196))]))


@pytest.fixture(scope="session")
def small_variant(vocabulary: Vocabulary) -> Callable[..., LangFlowTeacher]:
    """The small model with some values of its configuration changed."""

    def build(**changes: object) -> LangFlowTeacher:
        path = DATA / "model" / "config.json"
        teacher = LangFlowTeacher(options_of(path, json.loads(path.read_text()) | changes), vocabulary)
        weights = load_file(DATA / "model" / "model.safetensors")
        if changes.get("self_conditioning") is False:
            del weights["backbone.self_cond_proj.weight"]
        load_official(teacher, weights, path)
        return teacher.eval()

    return build


@pytest.fixture(scope="session")
def small(small_variant: Callable[..., LangFlowTeacher]) -> LangFlowTeacher:
    """The small official model; tests leave it as it is."""
    return small_variant().requires_grad_(False)


@pytest.fixture(scope="session")
def batch_of() -> Callable[[Tensor], Batch]:
    """A batch of given ids, all of them generated."""

    def batch(ids_BL: Tensor) -> Batch:
        names = tuple(str(row) for row in range(len(ids_BL)))
        return Batch(names, ids_BL, torch.ones_like(ids_BL, dtype=torch.bool))

    return batch


class Recorded(Noise):
    """Draws that were recorded, by name."""

    def __init__(self, **draws: Tensor) -> None:
        super().__init__([])
        self.draws = draws

    def normal(self, name: str, shape: object) -> Tensor:
        return self.draws[name]


@pytest.fixture(scope="session")
def recorded() -> type[Recorded]:
    return Recorded
