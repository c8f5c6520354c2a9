"""Weights of a BERT-type encoder: find them, read them, and look up its word embeddings."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import InputError
from dlmone.registry.filetype import mistaken

from .folders import model_folder
from .tokenizer import Tokenizer

WEIGHTS = "model.safetensors"
#: Files to fetch from the hub: the encoder, and the tokenizer of its embeddings.
FILES = ("config.json", WEIGHTS, "tokenizer.json", "vocab.txt", "tokenizer_config.json")
WORDS = "embeddings.word_embeddings.weight"
#: Names listed of each kind of mismatch; with a wrong configuration nothing matches.
LISTED = 6


def encoder_folder(name: str) -> Path:
    folder = model_folder(name, FILES, "init_from")
    missing = [file for file in ("config.json", WEIGHTS) if not (folder / file).is_file()]
    if missing:
        raise InputError(f"init_from {name!r}: {folder} has no {' and no '.join(missing)}")
    return folder


def read_tensors(name: str) -> dict[str, Tensor]:
    """Return an encoder's tensors, without the prefix ``bert.`` of models with a head.

    Raises:
        InputError: there is no such model, or it cannot be read.
    """
    weights = encoder_folder(name) / WEIGHTS
    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError) as error:
        what = mistaken(weights) or f"cannot be read ({error})"
        raise InputError(f"init_from {name!r}: {weights} {what}") from None
    return {key.removeprefix("bert."): tensor for key, tensor in tensors.items()}


def word_vectors(name: str, tokenizer: Tokenizer, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return an encoder's embeddings of a tokenizer's tokens, by number, [V, H] float32.

    Args:
        name: the encoder, as for `model_folder`; its tokenizer must have every token.
        tokenizer: the tokenizer whose tokens are looked up.
        tensors: the encoder's tensors, from `read_tensors`.

    Raises:
        InputError: the encoder lacks tokens, or has no word embeddings.
    """
    numbers = Tokenizer.load(name).backend.get_vocab()
    tokens = sorted(tokenizer.backend.get_vocab().items(), key=lambda item: item[1])
    strange = [token for token, _ in tokens if token not in numbers]
    if strange:
        raise InputError(
            f"init_embedding: the tokenizer of {name!r} does not know {len(strange)} of the tokens, "
            f"such as {strange[0]!r}; expected tokenizer = {name!r}"
        )
    if WORDS not in tensors:
        raise InputError(f"init_embedding: {name!r} has no tensor for {WORDS}")
    return tensors[WORDS].float()[[numbers[token] for token, _ in tokens]]


def principal_components(rows_NH: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean of the rows [H] and their first principal directions, [H, count].

    The largest entry fixes the sign of a direction, so that machines differ by rounding only.
    """
    mean_H = rows_NH.mean(0)
    centred_NH = (rows_NH - mean_H).double()
    _, basis_HH = torch.linalg.eigh(centred_NH.T @ centred_NH)
    basis_HD = basis_HH.flip(1)[:, :count]
    largest_D = basis_HD.gather(0, basis_HD.abs().argmax(0, keepdim=True))
    return mean_H, (basis_HD * largest_D.sign()).float()


def check_tensors(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of a checkpoint's tensors with those of a configuration.

    Raises:
        InputError: tensors are missing, unexpected or of another shape; one sentence names them.
    """
    misfits = {
        "missing": sorted(expected.keys() - given.keys()),
        "unexpected": sorted(given.keys() - expected.keys()),
        "mis-shaped": [
            f"{key} {tuple(given[key].shape)}, not {tuple(expected[key].shape)}"
            for key in sorted(given.keys() & expected.keys())
            if given[key].shape != expected[key].shape
        ],
    }
    if any(misfits.values()):
        raise InputError(
            "these weights do not fit the configuration: "
            + "; ".join(f"{len(names)} {kind} ({listed(names)})" for kind, names in misfits.items() if names)
        )


def listed(names: list[str]) -> str:
    """Join the first names, and say how many more there are."""
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
