"""What the trackers share: the import of an optional tool, a recipe's dotted values, samples as a table."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from dlmone.core import InputError, Sample


def require(module: str, extra: str) -> Any:
    """Import a tool.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f'the tracker {extra!r} needs an extra: pip install "dlmone[{extra}]"') from None


def dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a recipe's values by their dotted keys, as ``--set`` names them."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


#: The columns of `rows`.
COLUMNS = ("source", "output", "reference")


def rows(samples: Sequence[Sample]) -> list[list[str]]:
    """Return source, first output and reference of each sample."""
    return [[sample.source, sample.candidates[0], sample.reference] for sample in samples]


def markdown(samples: Sequence[Sample]) -> str:
    """Return the samples as a Markdown table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows(samples)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
