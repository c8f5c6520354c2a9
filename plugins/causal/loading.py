"""Load causal language models of transformers from a folder; nothing is downloaded."""

from typing import Any

import torch

from dlmone.core import InputError


def transformers() -> Any:
    """Return the library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import transformers as library
    except ImportError:
        raise InputError("causal language models need transformers: pip install dlmone[causal]") from None
    return library


def load_pretrained(path: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Return the network and the tokenizer of a folder in the form of ``save_pretrained``.

    Raises:
        InputError: there is no such model, or no transformers.
    """
    library = transformers()
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(path, local_files_only=True)
        network = library.AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype=dtype)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: no causal language model can be loaded ({reason})") from None
    return network, tokenizer
