"""Networks of the baselines: from a local folder, or GPT-2's shape with random weights."""

from typing import Any

import torch
from torch import nn

from dlmone.core import InputError
from dlmone.core.step.noise import seed_of

from .codec import CausalCodec, Tokenizer, Utf8
from .generator import CausalGenerator
from .loading import load_pretrained, transformers
from .options import CausalOptions, GPT2Options, LocalOptions

#: Layers, heads and width, as published; the other sizes are those of transformers' defaults.
SHAPES = {"base": (12, 12, 768), "large": (36, 20, 1280)}


class LocalCausal(CausalGenerator):
    """A model and its tokenizer from a folder; nothing is downloaded.

    Raises:
        InputError: there is no such model, or no transformers.
    """

    def __init__(self, options: LocalOptions) -> None:
        network, tokenizer = load_pretrained(options.path)
        end_id = tokenizer.eos_token_id
        pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_id
        if pad_id is None:
            raise InputError(f"{options.path}: its tokenizer has neither a padding nor an end token")
        super().__init__(network, _codec(tokenizer, options, network, pad_id, end_id))


class ShapeOfGPT2(CausalGenerator):
    """GPT-2 with random weights. It never ends a text, so it always makes ``max_tokens`` calls.

    Raises:
        InputError: there is no transformers, or the lengths exceed GPT-2's 1,024 positions.
    """

    def __init__(self, options: GPT2Options) -> None:
        library = transformers()
        layers, heads, width = SHAPES[options.size]
        config = library.GPT2Config(n_layer=layers, n_head=heads, n_embd=width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(("gpt2", options.size)))
            network: nn.Module = library.GPT2LMHeadModel(config)
        # No byte is the last token, the one GPT-2 pads with.
        super().__init__(network, _codec(Utf8(), options, network, config.vocab_size - 1))


def _codec(
    tokenizer: Tokenizer, options: CausalOptions, network: Any, pad_id: int, end_id: int | None = None
) -> CausalCodec:
    needed = options.max_source + options.max_tokens
    positions = getattr(network.config, "max_position_embeddings", needed)
    if needed > positions:
        raise InputError(
            f"max_source {options.max_source} and max_tokens {options.max_tokens} take {needed} positions; "
            f"the model has {positions}"
        )
    return CausalCodec(tokenizer, options, pad_id, end_id)
