"""The name of a device, as recipes, options and commands give it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from dlmone.core.errors import InputError, MissingError

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"auto|cpu|cuda(?::([0-9]+))?")


def _index(name: str) -> int | None:
    """Return the N of ``cuda:N``."""
    named = _NAME.fullmatch(name)
    if named is None:
        raise ValueError(f"there is no device {name!r}; expected auto, cpu, cuda or cuda:N")
    return int(named[1]) if named[1] else None


def _checked(name: str) -> str:
    _index(name)
    return name


#: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
DeviceName = Annotated[str, AfterValidator(_checked)]


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device that is there.

    Raises:
        InputError: the name is unknown.
        MissingError: the device is absent.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        index = _index(name)
    except ValueError as error:
        raise InputError(str(error)) from None
    if name == "cpu":
        return torch.device(name)
    if not torch.cuda.is_available():
        raise MissingError(f"device {name!r} was asked for, but no CUDA device is available here")
    if index is None:
        return torch.device(name)
    if index >= (count := torch.cuda.device_count()):
        raise MissingError(f"device {name!r} was asked for, but the last one here is cuda:{count - 1}")
    return torch.device("cuda", index)
