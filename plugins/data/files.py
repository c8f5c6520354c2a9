"""The data source `files`: a file for each split, in any format of `formats`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dlmone.core.errors import InputError, MissingError
from dlmone.core.text.data import DataSource, Example, Split
from dlmone.registry.explain import nearest_path
from dlmone.registry.rows import Row, suffix_of

from .columns import examples_of
from .formats import READERS, ended, read_rows, require_folder
from .options import FilesOptions


class FilesSource(DataSource):
    """A folder with a file for each split, by its name or as the options name it. Texts are stripped."""

    def __init__(self, options: FilesOptions) -> None:
        self.options = options
        self.folder = options.path.expanduser()

    def split(self, name: Split) -> Sequence[Example]:
        path = self._file(name)
        limit: int | None = getattr(self.options, f"{name}_limit")
        examples = examples_of(self._rows(path), self.options, name, limit)
        if not examples:
            raise InputError(f"{path} is empty.")
        return examples

    def _rows(self, path: Path) -> Iterator[Row]:
        """Yield the rows of a file, less the blank lines of plain text."""
        plain = suffix_of(path) == ".txt"
        return ((place, row) for place, row in read_rows(path) if not plain or row["text"].strip())

    def _file(self, name: Split) -> Path:
        require_folder(self.folder)
        if (given := getattr(self.options, name)) is not None:
            path = self.folder / Path(given).expanduser()
            if not path.is_file():
                raise MissingError(ended(f"data.{name}: there is no file {path}{nearest_path(str(path))}"))
            if suffix_of(path) not in READERS:
                raise InputError(f"data.{name}: {path} is of no known kind ({', '.join(READERS)}).")
            return path
        for file in (f"{name}{suffix}{gz}" for suffix in READERS for gz in ("", ".gz")):
            if (self.folder / file).is_file():
                return self.folder / file
        kinds = ", ".join(READERS)
        raise InputError(f"{self.folder} has no file {name} ({kinds}, each also as .gz).")
