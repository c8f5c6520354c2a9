"""The checks of data sources and readers of samples find each fault and say so."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dlmone.core import DataSource, Example, Sample, Split
from dlmone.registry import ForeignSamples, SampleReader
from dlmone.testing import check_data_source, check_sample_reader

from .finds import Finds


class Source(DataSource):
    """Two examples a split; ``change(examples, calls)`` is what it returns."""

    def __init__(self, change: Callable[[list[Any], int], list[Any]]) -> None:
        self.change, self.calls = change, 0

    def split(self, name: Split) -> Sequence[Example]:
        self.calls += 1
        return self.change([Example(f"{name}-{row}", "a", "b") for row in range(2)], self.calls)


def test_a_right_source_passes() -> None:
    check_data_source(Source(lambda examples, _: examples))


SOURCES: dict[str, Source] = {
    "split 'train' is empty": Source(lambda *_: []),
    "must be an Example, not tuple": Source(lambda *_: [("a", "b")]),
    "train[0].target must be a string, not NoneType": Source(lambda *_: [Example("a", "b", None)]),  # type: ignore[arg-type]
    "train[1] and train[0] share the id 'train-0'": Source(lambda examples, _: examples[:1] * 2),
    "valid[0] and train[0] share the id 'a'": Source(lambda *_: [Example("a", "b", "c")]),
    "must not change from one call to the next": Source(lambda examples, calls: examples[:: (-1) ** calls]),
}


@pytest.mark.parametrize("sentence", SOURCES)
def test_data_sources(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_data_source(SOURCES[sentence])


class Reader(SampleReader):
    """Reads files of one line, which is a candidate."""

    label = "lines (*.txt)"

    def __init__(self, *, any_file=False, ids="ab", texts=(("x",), ("y",))):
        self.any_file, self.ids, self.texts = any_file, ids, texts

    def find(self, path):
        return [path] if self.any_file or path.suffix == ".txt" else []

    def read(self, files):
        return ForeignSamples([Sample(i, "s", "r", c) for i, c in zip(self.ids, self.texts, strict=True)])


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [
        (Reader(any_file=True), "takes a Python file"),
        (Reader(ids="aa"), "share an id"),
        (Reader(texts=(("x",), ("y", "z"))), "equally many"),
        (Reader(ids="", texts=()), "no sample"),
    ],
)
def test_sample_readers(tmp_path, reader, sentence):
    check_sample_reader(Reader(), tmp_path / "a.txt")
    with pytest.raises(AssertionError, match="returned no file"):
        check_sample_reader(Reader(), tmp_path / "a.csv")
    with pytest.raises(AssertionError, match=sentence):
        check_sample_reader(reader, tmp_path / "a.txt")
