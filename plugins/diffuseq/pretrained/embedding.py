"""Initialise the embedding from a pretrained encoder's word embeddings, projected to the diffused width.

The word embeddings are projected on their first principal components. Each row is scaled to the norm √D of
standard normal rows, so that noise hides all tokens alike. The network's projection into the encoder starts
as the inverse map, so that the encoder sees the embeddings that it was trained on.
"""

import math

import torch
from torch import nn

from dlmone.core import InputError
from dlmone.plugins.bert.weights import principal_components, read_tensors, word_vectors

from ..network import DiffuSeqNetwork
from ..space import DiffuSeqSpace

TYPES = "embeddings.token_type_embeddings.weight"
#: Scale at which tanh is nearly linear.
SMALL = 0.1


@torch.no_grad()
def load_embedding(space: DiffuSeqSpace, network: DiffuSeqNetwork, name: str) -> None:
    """Set the space's embedding table and the network's projection into the encoder.

    Args:
        name: the encoder, as for `load_encoder`; its tokenizer must have every token of the space.

    Raises:
        InputError: it lacks tokens or embeddings, or they are no wider than the space's.
    """
    tensors = read_tensors(name)
    words_VH = word_vectors(name, space.tokenizer, tensors)
    if TYPES not in tensors:
        raise InputError(f"init_embedding: {name!r} has no tensor for {TYPES}")
    width = space.state_shape[1]
    if network.input_up_proj is None or width >= words_VH.shape[1]:
        raise InputError(f"init_embedding: hidden_dim {width} is not below the encoder's {words_VH.shape[1]}")
    mean_H, basis_HD = principal_components(words_VH, width)
    states_VD = (words_VH - mean_H) @ basis_HD
    norm_V1 = states_VD.norm(dim=1, keepdim=True).clamp(min=1e-6)
    table_VD = math.sqrt(width) * states_VD / norm_V1
    space.word_embedding.weight[: len(words_VH)] = table_VD
    space.lm_head["bias"].zero_()

    first, last = linear(network.input_up_proj[0]), linear(network.input_up_proj[2])
    first.weight[:width] = SMALL * torch.eye(width)
    first.bias[:width] = 0
    # The other inner units start with output 0, but with random inputs, so that they can learn.
    last.weight.zero_()
    last.weight[:, :width] = basis_HD * (float(norm_V1.mean()) / math.sqrt(width) / SMALL)
    last.bias.copy_(mean_H + tensors[TYPES][0].float())
    # At its usual scale the time embedding would dominate the words.
    time = linear(network.time_embed[2])
    time.weight.mul_(SMALL)
    time.bias.mul_(SMALL)


def linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module
