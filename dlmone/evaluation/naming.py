"""Short names for paths that stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the ends of different paths, as short as tells them apart."""
    parts = [path.absolute().parts for path in paths]
    length = 1
    while len({one[-length:] for one in parts}) < len(paths):
        length += 1
    return [str(Path(*one[-length:])) for one in parts]
