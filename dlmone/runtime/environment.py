"""Read what torchrun says about a process, in environment variables."""

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
