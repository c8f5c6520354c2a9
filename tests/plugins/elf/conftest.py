"""The small official model, and its outputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dlmone.core import Batch, Noise
from dlmone.plugins.elf.encoder import build_encoder
from dlmone.plugins.elf.network import ElfNetwork
from dlmone.plugins.elf.options import ElfOptions, T5Sizes
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.elf.vocabulary import Vocabulary

pytest.importorskip("transformers")

DATA = Path(__file__).parents[2] / "data" / "elf"
CONFIG = json.loads((DATA / "config.json").read_text())
SIZES: dict[str, Any] = {
    "length": 24,
    "width": 32,
    "layers": 4,
    "heads": 4,
    "bottleneck": 8,
    "guidance_tokens": 3,
    "mode_tokens": 2,
}
CONDITIONAL: dict[str, Any] = {**SIZES, "source_length": 12}
UNCONDITIONAL: dict[str, Any] = {
    **SIZES,
    "source_length": None,
    "padding": "pad",
    "decoder_noise": 5.0,
    "condition_dropout": 0.0,
}


@pytest.fixture(scope="session")
def official() -> Callable[[str], dict[str, Tensor]]:
    """Read a file of official outputs."""
    return lambda name: load_file(DATA / f"{name}.safetensors")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """A tokenizer of as many tokens as the small model has."""
    return Vocabulary.words([" ".join(f"word{i}" for i in range(117))])


def small_encoder() -> tuple[T5Sizes, nn.Module]:
    sizes = T5Sizes(**CONFIG["small_t5"])
    encoder, weights = build_encoder(sizes), load_file(DATA / "t5_encoder.safetensors")
    encoder.load_state_dict(
        {
            key.removeprefix("encoder.").replace("shared", "embed_tokens"): value
            for key, value in weights.items()
        }
    )
    return sizes, encoder


@pytest.fixture(scope="session")
def small_of(vocabulary: Vocabulary) -> Callable[..., ElfTeacher]:
    """The small official model, with or without a condition, some options changed."""

    def build(conditional: bool = True, **changes: object) -> ElfTeacher:
        options = ElfOptions(**{**(CONDITIONAL if conditional else UNCONDITIONAL), **changes})
        sizes, encoder = small_encoder()
        teacher = ElfTeacher(options, vocabulary, encoder, sizes)
        teacher.network.load_state_dict(load_file(DATA / "model.safetensors"))
        return teacher.eval()

    return build


@pytest.fixture(scope="session")
def small(small_of: Callable[..., ElfTeacher]) -> ElfTeacher:
    """The small model with a condition; tests leave it as it is."""
    return small_of().requires_grad_(False)


@pytest.fixture(scope="session")
def small_text(small_of: Callable[..., ElfTeacher]) -> ElfTeacher:
    """The small model without a condition; tests leave it as it is."""
    return small_of(conditional=False).requires_grad_(False)


@pytest.fixture(scope="session")
def network(small: ElfTeacher) -> ElfNetwork:
    return small.network


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Batch]:
    """A batch of given ids and of the official mask of their conditions, perhaps with encoded conditions."""

    def batch(ids_BL: Tensor, given_BL: Tensor | None = None, condition: Tensor | None = None) -> Batch:
        names = tuple(str(row) for row in range(len(ids_BL)))
        target_BL = torch.ones_like(ids_BL, dtype=torch.bool) if given_BL is None else given_BL == 0
        return Batch(names, ids_BL, target_BL, {} if condition is None else {"condition": condition})

    return batch


class Recorded(Noise):
    """Draws that were recorded, by name."""

    def __init__(self, size: int, draws: dict[str, Tensor]) -> None:
        super().__init__([(row,) for row in range(size)])
        self.draws = draws

    def normal(self, name: str, shape: object) -> Tensor:
        return self.draws[name]

    def uniform(self, name: str, shape: object = ()) -> Tensor:
        return self.draws[name].double()


@pytest.fixture(scope="session")
def recorded() -> Callable[..., Noise]:
    return lambda size, **draws: Recorded(size, draws)
