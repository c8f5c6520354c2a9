"""Starting the table from a pretrained BERT-type encoder's word embeddings."""

import torch

from dlmone.core import InputError
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.bert.weights import principal_components, read_tensors, word_vectors

from .space import LangFlowSpace


@torch.no_grad()
def load_embedding(space: LangFlowSpace, name: str) -> None:
    """Set the table to an encoder's word embeddings on their first principal components, less their mean.

    Rows are scaled to one norm where they are used: what is kept of a word is its direction.

    Args:
        space: of a BERT-type tokenizer all of whose tokens the encoder knows.
        name: where the encoder lies: a folder, ``package:NAME``, or a name of the hub.

    Raises:
        InputError: it lacks tokens or embeddings, or they are narrower than the states.
    """
    words_VH = word_vectors(name, Tokenizer(space.vocabulary.backend), read_tensors(name))
    _, width = space.state_shape
    if width > words_VH.shape[1]:
        raise InputError(f"init_embedding: width {width} is above the encoder's {words_VH.shape[1]}")
    mean_H, basis_HD = principal_components(words_VH, width)
    space.embedding[: len(words_VH)] = (words_VH - mean_H) @ basis_HD
