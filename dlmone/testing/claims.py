"""Raise AssertionError with a sentence that names the violated contract."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from dlmone.core import InputError, PluginError


def require(holds: bool, sentence: str) -> None:
    """Raise ``sentence`` as AssertionError unless ``holds`` (kept by ``python -O``, unlike ``assert``)."""
    if not holds:
        raise AssertionError(sentence)


@contextmanager
def claimed() -> Iterator[None]:
    """Raise what the engine says of a plugin's wrong answer as AssertionError."""
    try:
        yield
    except PluginError as error:
        raise AssertionError(str(error)) from error


def alike(first: Tensor, second: Tensor) -> bool:
    """Tell whether two tensors are equal but for rounding: kernels differ with the batch size."""
    if first.shape != second.shape:
        return False
    return torch.allclose(first.double(), second.double(), rtol=1e-3, atol=1e-4, equal_nan=True)


def require_rows(values: Mapping[str, Tensor], size: int, where: str) -> None:
    """Require one number per sample of each named tensor."""
    for name, value_B in values.items():
        found = tuple(value_B.shape)
        require(found == (size,), f"{where}[{name!r}] must have one value a sample, ({size},), not {found}")


def require_refusal(attempt: Callable[[], object], what: str) -> None:
    """Require that an attempt raises InputError, with a sentence, and nothing else."""
    try:
        attempt()
    except InputError as error:
        require(bool(str(error)), f"{what} must raise InputError with a sentence that says why")
    except Exception as error:
        raise AssertionError(f"{what} must raise InputError, not {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{what} must raise InputError")
