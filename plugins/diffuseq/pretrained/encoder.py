"""Initialise the network from a pretrained BERT-type encoder.

The official ``use_plm_init`` also copies BERT's word embeddings, which fixes hidden_dim and the vocabulary.
Here both stay free; `embedding.py` projects the word embeddings.
"""

from typing import Any

from dlmone.core import InputError
from dlmone.plugins.bert.folders import read_object
from dlmone.plugins.bert.weights import WEIGHTS, encoder_folder, read_tensors

from ..network import DiffuSeqNetwork
from ..options import DiffuSeqOptions

POSITIONS = "position_embeddings.weight"
#: Prefixes of BERT's tensors, and of the same tensors here.
NAMES = {
    "encoder.": "input_transformers.",
    "embeddings.position_embeddings.": "position_embeddings.",
    "embeddings.LayerNorm.": "LayerNorm.",
}


def load_encoder(network: DiffuSeqNetwork, name: str, options: DiffuSeqOptions) -> None:
    """Copy encoder, position embeddings and their LayerNorm: the first layers and positions.

    Args:
        name: a folder, ``package:NAME`` or a repository of the hub with ``config.json`` and
            ``model.safetensors``.

    Raises:
        InputError: there is no such model, it is broken, or its sizes are not the recipe's.
    """
    folder = encoder_folder(name)
    check_sizes(name, read_object(folder / "config.json"), options)
    pretrained = {renamed(key): tensor for key, tensor in read_tensors(name).items()}
    wanted = {
        key: tensor for key, tensor in network.state_dict().items() if key.startswith(tuple(NAMES.values()))
    }
    if absent := sorted(wanted.keys() - pretrained.keys()):
        raise InputError(f"init_from {name!r}: {WEIGHTS} has no tensor for {', '.join(absent)}")
    taken = {key: pretrained[key] for key in wanted}
    try:
        taken[POSITIONS] = taken[POSITIONS][: options.max_positions]
        network.load_state_dict(taken, strict=False)
    except (IndexError, RuntimeError) as error:
        details = " ".join(str(error).split())
        raise InputError(f"init_from {name!r}: {WEIGHTS} contradicts its config.json ({details})") from None


def check_sizes(name: str, config: dict[str, Any], options: DiffuSeqOptions) -> None:
    """Compare BERT's ``config.json`` with the recipe.

    Raises:
        InputError: sizes differ; one sentence names all of them.
    """
    wrong = [
        f"its {theirs} is {config.get(theirs)} and not {ours}"
        for theirs, ours in (
            ("hidden_size", options.width),
            ("num_attention_heads", options.heads),
            ("intermediate_size", options.feedforward_width),
            ("hidden_act", "gelu"),
        )
        if config.get(theirs) != ours
    ]
    wrong += [
        f"its {theirs} is {config.get(theirs)!r}, less than {ours}"
        for theirs, ours in (
            ("num_hidden_layers", options.layers),
            ("max_position_embeddings", options.max_positions),
        )
        if not (isinstance(size := config.get(theirs), int) and size >= ours)
    ]
    if wrong:
        raise InputError(f"init_from {name!r} does not fit this recipe: {'; '.join(wrong)}")


def renamed(key: str) -> str:
    """Return DiffuSeq's name for a tensor of BERT, whose oldest LayerNorms say gamma and beta."""
    key = key.replace("LayerNorm.gamma", "LayerNorm.weight")
    key = key.replace("LayerNorm.beta", "LayerNorm.bias")
    for theirs, ours in NAMES.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key
