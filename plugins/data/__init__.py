"""Provide data from local files and from published data sets."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_row_readers(register: Register) -> None:
    rows = "dlmone.plugins.data.formats:read_rows"
    register(".jsonl", rows, default=True, help="a JSON object a line")
    register(".csv", rows, help="a header of column names, then a row a line; quoted cells can hold anything")
    register(".tsv", rows, help="the same with tabs, and no quotes")
    register(".parquet", rows, help="a table of Apache Parquet")
    register(".txt", rows, help="a text a line, as the column text")


@hookimpl
def register_data(register: Register) -> None:
    register(
        "jsonl",
        "dlmone.plugins.data.jsonl:JsonlSource",
        options="dlmone.plugins.data.options:JsonlOptions",
        help='a folder of train, valid and test files with {"src", "trg"} rows, as DiffuSeq reads them',
    )
    register(
        "files",
        "dlmone.plugins.data.files:FilesSource",
        options="dlmone.plugins.data.options:FilesOptions",
        help="your own files: a folder of train, valid and test as .jsonl, .csv, .tsv, .parquet or .txt",
    )
    register(
        "dataset",
        "dlmone.plugins.data.dataset:DatasetSource",
        options="dlmone.plugins.data.options:DatasetOptions",
        help="a data set of Hugging Face's datasets, by its name on the hub or as a saved folder",
    )
    register(
        "hub",
        "dlmone.plugins.data.hub:HubSource",
        options="dlmone.plugins.data.options:HubOptions",
        help="a published data set in its official splits, fetched from the Hugging Face hub",
    )
