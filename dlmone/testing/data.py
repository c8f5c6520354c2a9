"""The DataSource contract: three splits in an order that never changes, and an id for each example."""

from typing import get_args

from dlmone.core import DataSource, Example, Split

from .claims import require


def check_data_source(source: DataSource) -> None:
    """Hold a data source to its contract.

    Raises:
        AssertionError: it breaks the contract; the sentence says how.
    """
    places: dict[str, str] = {}
    for name in get_args(Split):
        examples = source.split(name)
        require(len(examples) > 0, f"split {name!r} is empty; an empty split must raise InputError")
        for row, example in enumerate(examples):
            place = f"{name}[{row}]"
            require(isinstance(example, Example), f"{place} must be an Example, not {type(example).__name__}")
            for field in ("id", "source", "target"):
                text = getattr(example, field)
                require(isinstance(text, str), f"{place}.{field} must be a string, not {type(text).__name__}")
            first = places.setdefault(example.id, place)
            require(first == place, f"{place} and {first} share the id {example.id!r}: noise is keyed by ids")
        require(examples[0] == next(iter(examples)), f"split {name!r} must be a sequence")
        again = source.split(name)
        require(list(again) == list(examples), f"split {name!r} must not change from one call to the next")
