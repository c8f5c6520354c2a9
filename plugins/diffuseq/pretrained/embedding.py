"""Starting from a pretrained encoder's word embeddings, projected to the width that is diffused.

The table becomes the encoder's own on its first principal components, each row scaled to the norm √D that
standard normal rows have: no token is easier to tell from noise than another. The projection into the
encoder starts as the way back, so that the encoder reads the condition as it was trained to.
"""

import math

import torch
from torch import nn

from dlmone.core import InputError
from dlmone.plugins.bert.weights import principal_components, read_tensors, word_vectors

from ..network import DiffuSeqNetwork
from ..space import DiffuSeqSpace

TYPES = "embeddings.token_type_embeddings.weight"
#: Small inputs leave tanh nearly linear.
SMALL = 0.1


@torch.no_grad()
def load_embedding(space: DiffuSeqSpace, network: DiffuSeqNetwork, name: str) -> None:
    """Set the table of the space, and the network's projection of it into the encoder.

    Args:
        name: where the encoder lies, as for `load_encoder`; its tokenizer must have every token of the space.

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
    # The further inner units start silent, and have random inputs to learn from.
    last.weight.zero_()
    last.weight[:, :width] = basis_HD * (float(norm_V1.mean()) / math.sqrt(width) / SMALL)
    last.bias.copy_(mean_H + tensors[TYPES][0].float())
    # Words speak before the time does: at its usual start the time's embedding drowns them.
    time = linear(network.time_embed[2])
    time.weight.mul_(SMALL)
    time.bias.mul_(SMALL)


def linear(module: nn.Module) -> nn.Linear:
    assert isinstance(module, nn.Linear)
    return module
