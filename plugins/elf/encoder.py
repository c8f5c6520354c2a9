"""The frozen T5 encoder whose last hidden states are ELF's states; built and run by transformers."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dlmone.core import InputError
from dlmone.plugins.bert.folders import model_folder, read_object
from dlmone.plugins.bert.weights import check_tensors
from dlmone.registry.filetype import mistaken

from .options import T5Sizes

CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: Files to fetch from the hub: encoder and tokenizer.
FILES = (CONFIG, WEIGHTS, "tokenizer.json", "tokenizer_config.json")


def build_encoder(sizes: T5Sizes) -> nn.Module:
    """Return an encoder with random weights, frozen, without dropout.

    Raises:
        InputError: there is no transformers.
    """
    transformers = _transformers()
    config = transformers.T5Config(
        **sizes.model_dump(), dropout_rate=0.0, use_cache=False, is_encoder_decoder=False, is_decoder=False
    )
    encoder: nn.Module = transformers.T5EncoderModel(config).encoder
    return encoder.requires_grad_(False).eval()


def load_encoder(name: str) -> tuple[T5Sizes, nn.Module]:
    """Return a pretrained encoder, frozen, without dropout, and its sizes.

    Args:
        name: a folder, ``package:NAME`` or a repository of the hub with T5's ``config.json`` and
            ``model.safetensors``; what else the weights hold, such as a decoder, is left.

    Raises:
        InputError: there is no such model, it is no T5, it is broken, or there is no transformers.
    """
    folder = model_folder(name, FILES, "encoder")
    sizes, path = read_sizes(folder), folder / WEIGHTS
    encoder = build_encoder(sizes)
    if not path.is_file():
        raise InputError(f"{folder} holds no T5 encoder: there is no {WEIGHTS}")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} {mistaken(path) or f'cannot be read ({error})'}") from None
    # The table is shared with the decoder; some files hold it under the encoder's name too.
    own = {
        key.replace("shared.", "encoder.embed_tokens.").removeprefix("encoder."): value.float()
        for key, value in tensors.items()
        if key.startswith(("encoder.", "shared."))
    }
    try:
        check_tensors(own, encoder.state_dict())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    encoder.load_state_dict(own)
    return sizes, encoder


def read_sizes(folder: Path) -> T5Sizes:
    """Read T5's sizes from its ``config.json``.

    Raises:
        InputError: there is none, or it is of another model.
    """
    try:
        config = read_object(folder / CONFIG)
    except FileNotFoundError:
        raise InputError(f"{folder} holds no T5 encoder: there is no {CONFIG}") from None
    if config.get("model_type") != "t5":
        raise InputError(f"{folder / CONFIG}: model_type is {config.get('model_type')!r} and not 't5'")
    if absent := [name for name in T5Sizes.model_fields if name not in config]:
        raise InputError(f"{folder / CONFIG} lacks {', '.join(absent)}")
    return T5Sizes(**{name: config[name] for name in T5Sizes.model_fields})


def visible(target_BL: Tensor, valid_BL: Tensor, kept_B: Tensor | None = None) -> Tensor:
    """Return which positions each position of a row may see, [B, L, L] bool (row, column).

    Given positions see given ones, so that a condition's states never depend on its target; the others see
    all valid positions.

    Args:
        target_BL: False at given positions.
        valid_BL: True at tokens of the text, its end marker included.
        kept_B: False for samples whose condition is dropped: then no generated position sees it.
    """
    given_BL = ~target_BL
    seen_BLL = target_BL[:, :, None] & valid_BL[:, None]
    if kept_B is not None:
        seen_BLL = seen_BLL & (kept_B[:, None, None] | target_BL[:, None])
    return seen_BLL | (given_BL[:, :, None] & given_BL[:, None])


@torch.no_grad()
def hidden_states(encoder: nn.Module, tokens_BL: Tensor, seen_BLL: Tensor) -> Tensor:
    """Return the encoder's last hidden states [B, L, D], float32.

    The mask is passed as what is added to the scores: it is the one form that all attention implementations
    of all versions of transformers understand alike.
    """
    with torch.autocast(tokens_BL.device.type, enabled=False):
        mask_B1LL = torch.zeros(seen_BLL.shape, device=tokens_BL.device)
        mask_B1LL = mask_B1LL.masked_fill(~seen_BLL, torch.finfo(torch.float32).min)[:, None]
        states_BLD: Tensor = encoder(input_ids=tokens_BL, attention_mask=mask_B1LL).last_hidden_state
    return states_BLD


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise InputError("ELF's encoder needs transformers: pip install dlmone[elf]") from None
    return transformers
