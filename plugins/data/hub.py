"""Load a published data set from the Hugging Face hub, split into its official splits by row order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone.core.errors import InputError, MissingError
from dlmone.core.text.data import DataSource, Example, Split
from dlmone.plugins.bert.hub import is_offline

from .options import HubOptions

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class HubDataset:
    """One parquet file of a hub data set, and the rows that make each split."""

    repository: str
    revision: str
    file: str
    source: str
    target: str
    splits: Mapping[Split, range]

    @property
    def rows(self) -> int:
        return sum(map(len, self.splits.values()))


DATASETS = {
    # The 149,263 duplicates of Quora Question Pairs, in the order of its original file. DiffuSeq's official
    # test and valid files are list-equal to these rows.
    "qqp": HubDataset(
        repository="sentence-transformers/quora-duplicates",
        revision="dcd9ad62cf663d50580a2ebd2b8502b2cb8d04b6",
        file="pair/train-00000-of-00001.parquet",
        source="anchor",
        target="positive",
        splits={"test": range(2_500), "valid": range(2_500, 4_548), "train": range(4_548, 149_263)},
    ),
}

#: Fetches a file of a hub data set: (repository, file, revision) → local path.
Download = Callable[[str, str, str], Path]

_INSTEAD = "or use the data source `jsonl` with a local path"


def hub_download(repository: str, file: str, revision: str) -> Path:
    """Fetch a file into the hub's cache; offline, use the cached file."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise _missing_extra() from error
    try:
        path = hf_hub_download(
            repository, file, revision=revision, repo_type="dataset", local_files_only=is_offline()
        )
        return Path(path)
    except Exception as error:  # httpx's are no OSErrors; the way out is the same for all
        raise MissingError(
            f"{repository} (revision {revision}) could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}): check the connection and the revision, {_INSTEAD}."
        ) from error


class HubSource(DataSource):
    """The data set ``options.dataset``, texts stripped as in DiffuSeq."""

    def __init__(self, options: HubOptions, download: Download = hub_download) -> None:
        self.name = options.dataset
        self.dataset = DATASETS[options.dataset]
        self.revision = options.revision or self.dataset.revision
        self._download = download

    def split(self, name: Split) -> Sequence[Example]:
        rows = self.dataset.splits[name]
        part = self._table().slice(rows.start, len(rows))
        texts = zip(*(column.to_pylist() for column in part.columns), strict=True)
        return [
            Example(f"{self.name}-{name}-{row}", source.strip(), target.strip())
            for row, (source, target) in enumerate(texts)
        ]

    def _table(self) -> "pyarrow.Table":
        """Return the source and target columns, after checking that row order defines the splits."""
        try:
            from pyarrow import ArrowException, parquet
        except ImportError as error:
            raise _missing_extra() from error
        dataset = self.dataset
        path = self._download(dataset.repository, dataset.file, self.revision)
        try:
            table = parquet.read_table(path).select([dataset.source, dataset.target])
        except (ArrowException, OSError, KeyError) as error:
            raise InputError(
                f"{path} is no parquet file with columns {dataset.source!r} and {dataset.target!r}."
            ) from error
        if table.num_rows != dataset.rows:
            raise InputError(
                f"{dataset.repository} (revision {self.revision}) has {table.num_rows:,} rows where "
                f"{self.name} has {dataset.rows:,}, so its splits cannot be told by row order."
            )
        return table


def _missing_extra() -> MissingError:
    return MissingError(f'The data source `hub` needs an extra: pip install "dlmone[hub]", {_INSTEAD}.')
