"""Initialise a network's encoder from a pretrained BERT-type one."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from dlmone.core import InputError

from .folders import read_object
from .weights import WEIGHTS, encoder_folder, read_tensors

POSITIONS = "position_embeddings.weight"
#: Prefixes of BERT's tensors, and of the same tensors here.
NAMES = {
    "encoder.": "input_transformers.",
    "embeddings.position_embeddings.": "position_embeddings.",
    "embeddings.LayerNorm.": "LayerNorm.",
}


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """Sizes of a BERT-type encoder; of layers and positions the pretrained one may have more."""

    width: int
    layers: int
    heads: int
    feedforward: int
    positions: int


def load_encoder(network: nn.Module, name: str, sizes: EncoderSizes) -> None:
    """Copy encoder, position embeddings and their LayerNorm: the first layers and positions.

    Args:
        network: has an `Encoder` as ``input_transformers``, ``position_embeddings`` and a ``LayerNorm``.
        name: a folder, ``package:NAME`` or a repository of the hub with ``config.json`` and
            ``model.safetensors``.
        sizes: the network's.

    Raises:
        InputError: there is no such model, it is broken, or its sizes are not the recipe's.
    """
    folder = encoder_folder(name)
    check_sizes(name, read_object(folder / "config.json"), sizes)
    pretrained = {renamed(key): tensor for key, tensor in read_tensors(name).items()}
    wanted = {
        key: tensor for key, tensor in network.state_dict().items() if key.startswith(tuple(NAMES.values()))
    }
    if absent := sorted(wanted.keys() - pretrained.keys()):
        raise InputError(f"init_from {name!r}: {WEIGHTS} has no tensor for {', '.join(absent)}")
    taken = {key: pretrained[key] for key in wanted}
    try:
        taken[POSITIONS] = taken[POSITIONS][: sizes.positions]
        network.load_state_dict(taken, strict=False)
    except (IndexError, RuntimeError) as error:
        details = " ".join(str(error).split())
        raise InputError(f"init_from {name!r}: {WEIGHTS} contradicts its config.json ({details})") from None


def check_sizes(name: str, config: dict[str, Any], sizes: EncoderSizes) -> None:
    """Compare BERT's ``config.json`` with the recipe.

    Raises:
        InputError: sizes differ; one sentence names all of them.
    """
    wrong = [
        f"its {theirs} is {config.get(theirs)} and not {ours}"
        for theirs, ours in (
            ("hidden_size", sizes.width),
            ("num_attention_heads", sizes.heads),
            ("intermediate_size", sizes.feedforward),
            ("hidden_act", "gelu"),
        )
        if config.get(theirs) != ours
    ]
    wrong += [
        f"its {theirs} is {config.get(theirs)!r}, less than {ours}"
        for theirs, ours in (
            ("num_hidden_layers", sizes.layers),
            ("max_position_embeddings", sizes.positions),
        )
        if not (isinstance(size := config.get(theirs), int) and size >= ours)
    ]
    if wrong:
        raise InputError(f"init_from {name!r} does not fit this recipe: {'; '.join(wrong)}")


def renamed(key: str) -> str:
    """Return the name here of a tensor of BERT, whose oldest LayerNorms say gamma and beta."""
    key = key.replace("LayerNorm.gamma", "LayerNorm.weight")
    key = key.replace("LayerNorm.beta", "LayerNorm.bias")
    for theirs, ours in NAMES.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key
