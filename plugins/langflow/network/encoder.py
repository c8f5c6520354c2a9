"""A BERT-type encoder in the place of LangFlow's own blocks, to start from a pretrained one."""

import math

import torch
from torch import Tensor, nn

from dlmone.core import InputError
from dlmone.plugins.bert.encoder import LAYER_NORM_EPS, Encoder
from dlmone.plugins.bert.norm import LayerNorm
from dlmone.plugins.bert.start import EncoderSizes, load_encoder
from dlmone.plugins.bert.weights import principal_components, read_tensors, word_vectors

from ..space import LangFlowSpace
from .transformer import zero_linear

TYPES = "embeddings.token_type_embeddings.weight"


class BertTrunk(nn.Module):
    """Encoder(LN(up(h) + position + time(c))), from [B, L, D]. It is silent about c at first.

    Args:
        width: D.
        condition: width of the noise level's embedding c.
        sizes: the encoder's; H is its width.
        dropout: in all of the encoder's places.
    """

    def __init__(self, width: int, condition: int, sizes: EncoderSizes, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, sizes.width)
        self.time = zero_linear(condition, sizes.width)
        self.position_embeddings = nn.Embedding(sizes.positions, sizes.width)
        self.LayerNorm = LayerNorm(sizes.width, LAYER_NORM_EPS)
        self.input_transformers = Encoder(
            sizes.layers, sizes.width, sizes.heads, sizes.feedforward, dropout, dropout
        )

    def hidden(self, h_BLD: Tensor, c_BC: Tensor) -> list[Tensor]:
        """Return what each layer gives, [B, L, H] each."""
        position_LH = self.position_embeddings.weight[: h_BLD.shape[1]]
        h_BLH = self.LayerNorm(self.up(h_BLD) + position_LH + self.time(c_BC)[:, None])
        return self.input_transformers.hidden(h_BLH)


@torch.no_grad()
def load_start(space: LangFlowSpace, trunk: BertTrunk | None, name: str, sizes: EncoderSizes | None) -> None:
    """Start the table from an encoder's word embeddings, and a trunk from the encoder.

    The table takes their first principal components, less their mean; rows are scaled to one norm where they
    are used, so that of a word its direction is kept. The trunk's projection is the way back: the encoder
    reads a condition as it was trained to.

    Args:
        space: of a BERT-type tokenizer all of whose tokens the encoder knows.
        name: where the encoder lies: a folder, ``package:NAME``, or a name of the hub.

    Raises:
        InputError: it lacks tokens or embeddings, is narrower than the states, or has other sizes.
    """
    tensors = read_tensors(name)
    words_VH = word_vectors(name, space.vocabulary.tokenizer, tensors)
    _, width = space.state_shape
    if width > words_VH.shape[1]:
        raise InputError(f"init_from: width {width} is above the encoder's {words_VH.shape[1]}")
    mean_H, basis_HD = principal_components(words_VH, width)
    states_VD = (words_VH - mean_H) @ basis_HD
    space.embedding[: len(states_VD)] = states_VD
    if trunk is None or sizes is None:
        return
    load_encoder(trunk, name, sizes)
    if TYPES not in tensors:
        raise InputError(f"init_from: {name!r} has no tensor for {TYPES}")
    trunk.up.weight.copy_(basis_HD * (float(states_VD.norm(dim=1).mean()) / math.sqrt(width)))
    trunk.up.bias.copy_(mean_H + tensors[TYPES][0].float())
