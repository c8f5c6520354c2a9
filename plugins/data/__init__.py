"""Provide data from local files (`jsonl`) and published data sets (`hub`)."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_data(register: Register) -> None:
    register(
        "jsonl",
        "dlmone.plugins.data.jsonl:JsonlSource",
        options="dlmone.plugins.data.options:JsonlOptions",
        help='a folder of train, valid and test files with {"src", "trg"} rows, as DiffuSeq reads them',
    )
    register(
        "hub",
        "dlmone.plugins.data.hub:HubSource",
        options="dlmone.plugins.data.options:HubOptions",
        help="a published data set in its official splits, fetched from the Hugging Face hub",
    )
