"""The data source `dataset`: a data set of Hugging Face's ``datasets``, by name or as a saved folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlmone.core.errors import InputError
from dlmone.core.text.data import DataSource, Example, Split
from dlmone.registry.rows import Row

from .columns import examples_of
from .options import DatasetOptions


class DatasetSource(DataSource):
    """Three splits of a data set, by the names that it has for them."""

    def __init__(self, options: DatasetOptions) -> None:
        self.options = options
        self._loaded: Any = None

    def split(self, name: Split) -> Sequence[Example]:
        theirs: str = getattr(self.options, name)
        splits = self._splits()
        if theirs not in splits:
            raise InputError(
                f"data.{name}: {self.options.name} has no split {theirs!r}; it has {', '.join(splits)}."
            )
        limit: int | None = getattr(self.options, f"{name}_limit")
        examples = examples_of(self._rows(theirs, splits[theirs]), self.options, name, limit)
        if not examples:
            raise InputError(f"{self.options.name}, split {theirs!r}, is empty.")
        return examples

    def _rows(self, name: str, rows: Any) -> Iterator[Row]:
        for number, row in enumerate(rows, start=1):
            yield f"{self.options.name}, {name}, row {number}", row

    def _splits(self) -> Any:
        if self._loaded is None:
            try:
                import datasets
            except ImportError:
                raise InputError(
                    'The data source `dataset` needs an extra: pip install "dlmone[data]".'
                ) from None
            name, folder = self.options.name, Path(self.options.name).expanduser()
            subset, revision = self.options.subset, self.options.revision
            try:
                if folder.is_dir():
                    self._loaded = datasets.load_from_disk(str(folder))
                else:
                    self._loaded = datasets.load_dataset(name, subset, revision=revision)
            except Exception as error:  # each of its back ends has errors of its own
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise InputError(f"the data set {name} cannot be loaded ({reason}).") from error
            if not isinstance(self._loaded, dict):
                raise InputError(f"{name} holds one split only; save a DatasetDict of three.")
        return self._loaded
