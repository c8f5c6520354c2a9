"""The data source `jsonl`: DiffuSeq's own format, one `{"src": ..., "trg": ...}` a line."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from dlmone.core.errors import InputError, MissingError
from dlmone.core.text.data import DataSource, Example, Split

from .formats import read_rows, require_folder, text_of
from .options import JsonlOptions


class JsonlSource(DataSource):
    """A folder of ``train``, ``valid`` and ``test``, each ``.jsonl`` or ``.jsonl.gz`` (the first, if both).

    Texts are stripped, as in DiffuSeq. Keys other than ``src`` and ``trg`` are ignored.
    """

    def __init__(self, options: JsonlOptions) -> None:
        self.options = options
        self.folder = options.path.expanduser()

    def split(self, name: Split) -> Sequence[Example]:
        path = self._file(name)
        limit: int | None = getattr(self.options, f"{name}_limit")
        examples = [
            Example(f"{name}-{number}", text_of(row, "src", place), text_of(row, "trg", place))
            for number, (place, row) in zip(_numbers(limit), read_rows(path), strict=False)
        ]
        if not examples:
            raise InputError(f"{path} is empty.")
        return examples

    def _file(self, name: Split) -> Path:
        require_folder(self.folder)
        for file in (f"{name}.jsonl", f"{name}.jsonl.gz"):
            if (self.folder / file).is_file():
                return self.folder / file
        raise MissingError(f"{self.folder} has neither {name}.jsonl nor {name}.jsonl.gz.")


def _numbers(limit: int | None) -> Iterable[int]:
    return count() if limit is None else range(limit)
