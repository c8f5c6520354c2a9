"""Rows of data files, as a plugin's row readers yield them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: A row's place in words, for errors, and its values by their columns.
Row = tuple[str, Mapping[str, Any]]
#: Reads a file's rows. It raises InputError if the file is malformed; the sentence names file and line.
RowReader = Callable[[Path], Iterator[Row]]


class Flat(Mapping[str, Any]):
    """A row in which ``translation.de`` is the value of ``de`` in the column ``translation``."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row

    def __getitem__(self, key: str) -> Any:
        if key in self.row:
            return self.row[key]
        column, dot, rest = key.partition(".")
        below = self.row[column]
        if not dot or not isinstance(below, Mapping):
            raise KeyError(key)
        return Flat(below)[rest]

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)


def suffix_of(path: Path) -> str:
    """Return what a file's name says of its kind: ``.csv`` of ``train.csv.gz``."""
    return Path(path.name.removesuffix(".gz")).suffix
