"""Read a foreign checkpoint's file: its tensors, or a sentence on what it holds instead."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from dlmone.core import InputError
from dlmone.registry.filetype import mistaken

#: What wrappers put before the names of a network's tensors: data parallelism and torch.compile.
PREFIXES = ("module.", "_orig_mod.")
#: Keys under which training code keeps a state dict inside a checkpoint.
NESTED = ("state_dict", "model_state_dict", "model", "ema", "ema_state_dict")


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read a state dict without executing code from its pickle.

    Returns:
        The tensors, without the prefixes of wrappers, and a line on what was taken off (empty if nothing).

    Raises:
        InputError: the file is damaged, or something else; the sentence says what, if that is known.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError):
        what = mistaken(path) or "is damaged, or holds other things than tensors, which are refused"
        raise InputError(f"{path} {what}") from None
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path} {_what_it_holds(content)}")
    if infinite := [key for key, value in content.items() if not _is_finite(value)]:
        count = int((~content[infinite[0]].isfinite()).sum())
        more = f" (and {len(infinite) - 1} more tensors)" if infinite[1:] else ""
        raise InputError(f"{path}: {infinite[0]} has {count} values that are not finite{more}")
    return _unwrapped(content)


def is_empty(path: Path) -> bool:
    """Tell whether a file holds nothing, as one whose writing was cut short."""
    return path.stat().st_size == 0


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _unwrapped(content: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    tensors, taken = dict(content), []
    while tensors and (shared := [one for one in PREFIXES if all(key.startswith(one) for key in tensors)]):
        tensors = {key.removeprefix(shared[0]): value for key, value in tensors.items()}
        taken.append(shared[0])
    return tensors, f"names: the prefix {''.join(taken)} was taken off" if taken else ""


def _what_it_holds(content: Any) -> str:
    """Say what was read instead of named tensors."""
    if isinstance(content, Mapping):
        if {"state", "param_groups"} <= content.keys():
            return "is the state of an optimizer; the weights are in another file (ema_RATE_STEP.pt)"
        for key in NESTED:
            if isinstance(content.get(key), Mapping):
                return (
                    f"is a training checkpoint with the weights under {key!r}: save those alone, "
                    f"as in torch.save(torch.load(FILE)[{key!r}], NEW)"
                )
    return "is no state dict: it must hold named tensors and nothing else"
