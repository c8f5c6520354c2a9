"""The DataSource and SampleReader contracts: examples with ids that never change, samples that are whole."""

from pathlib import Path
from typing import get_args

from dlmone.core import DataSource, Example, Sample, Split
from dlmone.registry import SampleReader

from ..claims import require


def check_data_source(source: DataSource) -> None:
    """Check a data source against its contract.

    Raises:
        AssertionError: it violates the contract; the message says how.
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


def check_sample_reader(reader: SampleReader, path: Path) -> None:
    """Check a reader of sample files against its contract.

    Args:
        reader: the one to check.
        path: a file or folder of its kind.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    require(bool(reader.label), "label must say what the files are")
    files = reader.find(path)
    require(len(files) > 0, f"find() returned no file for {path}, which is of its kind")
    require(reader.find(Path(__file__)) == [], "find() takes a Python file for its own kind")
    found = reader.read(files)
    require(len(found.samples) > 0, "read() returned no sample; malformed files must raise InputError")
    require(all(isinstance(one, Sample) for one in found.samples), "read() must return samples")
    ids = {sample.id for sample in found.samples}
    require(len(ids) == len(found.samples), "two samples share an id")
    counts = {len(sample.candidates) for sample in found.samples}
    require(len(counts) == 1 and 0 not in counts, f"samples must have equally many candidates, not {counts}")
