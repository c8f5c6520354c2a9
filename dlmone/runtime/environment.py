"""What a process is told of its surroundings: torchrun's numbers, how busy the machine is, its memory."""

import os

from dlmone.core.errors import InputError


def process_number(name: str, default: int, least: int = 0, most: int | None = None) -> int:
    """Return a number of this process or of all, as WORLD_SIZE.

    Raises:
        InputError: the variable holds something else.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if number < least or (most is not None and number > most):
        upper = f" to {most}" if most is not None else ""
        raise InputError(
            f"the environment variable {name} is {text[:100]!r}, where torchrun sets a number from "
            f"{least}{upper}; unset it to run one process"
        )
    return number


def other_work() -> str:
    """Say that the machine has more to do than this process gives it; "" if not, or if it does not tell."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"{load:.0f} processes want its {cores} cores" if load >= cores + 1 else ""


def lacks_memory(error: BaseException) -> bool:
    """Tell whether memory ran out; on the CPU, PyTorch says so in words only."""
    words = ("not enough memory", "can't allocate memory")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(text in str(error) for text in words))
    )
