"""The data source `files`: formats, columns, and what is wrong with them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dlmone.core.errors import InputError, MissingError
from dlmone.core.text.data import Example
from dlmone.plugins.data.dataset import DatasetSource
from dlmone.plugins.data.files import FilesSource
from dlmone.plugins.data.jsonl import JsonlSource
from dlmone.plugins.data.options import DatasetOptions, FilesOptions, JsonlOptions
from dlmone.testing import check_data_source

PAIRS = [("où est-ce ?", "c'est où ?"), ('丽江, "省"', "b")]
WANTED = [Example(f"train-{i}", *pair) for i, pair in enumerate(PAIRS)]


def read(folder: Path, name: str = "train", **options: Any) -> list[Example]:
    return list(FilesSource(FilesOptions(path=folder, **options)).split(name))  # type: ignore[arg-type]


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def jsonl(rows: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


CONTENT = {
    ".jsonl": jsonl([{"source": a, "target": b} for a, b in PAIRS]),
    ".csv": 'source,target,note\noù est-ce ?,c\'est où ?,1\n"丽江, ""省""",b,2\n',
    ".tsv": 'source\ttarget\noù est-ce ?\tc\'est où ?\n丽江, "省"\tb\n',
}


@pytest.mark.parametrize("kind", CONTENT)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_is_read(tmp_path: Path, kind: str, ending: str, mark: str, packed: bool) -> None:
    content = (mark + CONTENT[kind].replace("\n", ending)).encode()
    name = f"train{kind}" + (".gz" if packed else "")
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert read(tmp_path) == WANTED


def test_plain_text_is_for_models_without_a_source(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("une ligne \n\nune autre\n", encoding="utf-8")
    assert read(tmp_path) == [Example("train-0", "", "une ligne"), Example("train-1", "", "une autre")]


def test_parquet_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"source": [a for a, _ in PAIRS], "target": [b for _, b in PAIRS]})
    parquet.write_table(table, tmp_path / "train.parquet")
    assert read(tmp_path) == WANTED
    (tmp_path / "train.parquet").write_bytes(b"PAR1 torn")
    assert "train.parquet is no parquet file" in refusal(tmp_path)


def test_a_published_or_saved_data_set_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"translation": {"de": a, "fr": b}, "key": f"k{i}"} for i, (a, b) in enumerate(PAIRS)]
    splits = {name: datasets.Dataset.from_list(rows) for name in ("train", "validation", "test")}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    columns = {"source": "translation.de", "target": "translation.fr", "id": "key"}
    source = DatasetSource(DatasetOptions(name=str(tmp_path / "saved"), **columns))  # type: ignore[arg-type]
    check_data_source(source)
    assert list(source.split("valid")) == [Example(f"valid-k{i}", *pair) for i, pair in enumerate(PAIRS)]
    with pytest.raises(InputError, match=r"data.valid: .* no split 'dev'; it has train, validation, test"):
        DatasetSource(DatasetOptions(name=str(tmp_path / "saved"), valid="dev")).split("valid")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"the data set .* cannot be loaded"):
        DatasetSource(DatasetOptions(name=str(tmp_path / "none"))).split("train")


def test_columns_and_files_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,p,nr\nx,y,7\n")
    found = read(tmp_path, train="a.csv", source="q", target="p", id="nr")
    assert found == [Example("train-7", "x", "y")]
    assert "there is no column trg or target or reference or text; name it (there are nr, p, q)" in refusal(
        tmp_path, train="a.csv"
    )
    assert "there is no file" in refusal(tmp_path, train="b.csv")
    (tmp_path / "a.doc").write_text("")
    assert "is of no known kind" in refusal(tmp_path, train="a.doc")


def test_what_is_null_is_missing(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"src": "a", "trg": "b", "id": None}, {"src": "c", "trg": None}]
    (tmp_path / "train.jsonl").write_text(jsonl(rows))
    assert read(tmp_path, id="id", train_limit=1) == [Example("train-0", "a", "b")]
    assert 'train.jsonl, line 2: the key "trg" is missing.' in refusal(tmp_path)
    (tmp_path / "train.jsonl").write_text(jsonl([{"src": "a", "trg": "b"}, {"trg": "d"}]))
    assert 'line 2: the key "src" is missing; known here: trg.' in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("train.csv", b"source,target\na,b,c\n", "line 2: 3 cells, where line 1 names 2 columns"),
        ("train.csv", b"source,source\na,b\n", "line 1: a column has the name of another"),
        ("train.csv", b'source,target\n"a,b\n', "malformed (unexpected end of data)"),
        ("train.csv", b"", "is empty"),
        ("train.csv", "source,target\nà,b\n".encode("latin-1"), "it is not UTF-8, for it holds a byte 0xe0"),
        ("train.jsonl", b"[" * 100_000, "line 1: JSON that is nested too deeply"),
        ("train.jsonl", b'{"id": ' + b"1" * 5000 + b"}", "line 1: JSON with a number of too many digits"),
        ("train.jsonl", jsonl([{"source": "a", "target": "b"}]).encode("utf-16"), "it is not UTF-8"),
        ("train.jsonl", b'{"source": "a"', "line 1: malformed JSON at column"),
        ("train.txt.gz", b"no gzip", "cannot be read"),
    ],
)
def test_what_is_malformed_is_named_by_line(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert sentence in refusal(tmp_path)


@pytest.mark.parametrize(
    ("header", "there"),
    [
        ("SRC,TRG", "known here: SRC, TRG."),
        ("src;trg", "did you mean 'src;trg'?"),
        (" srcs ,trg", "did you mean ' srcs '?"),
    ],
)
def test_a_named_column_that_is_not_there_is_told_which_are(tmp_path: Path, header: str, there: str) -> None:
    (tmp_path / "train.csv").write_text(header + "\n" + "a" + "," * header.count(",") + "\n")
    found = refusal(tmp_path, source="src", target="trg")
    assert found.endswith(f'train.csv, line 2: the key "src" is missing; {there}')


def test_a_text_can_be_long(tmp_path: Path) -> None:
    long = "a" * 300_000
    (tmp_path / "train.csv").write_text(f"source,target\n{long},b\n")
    (tmp_path / "valid.tsv").write_text(f"source\ttarget\nb\t{long}\n")
    assert read(tmp_path) == [Example("train-0", long, "b")]
    assert read(tmp_path, "valid") == [Example("valid-0", "b", long)]


@pytest.mark.parametrize("source", [FilesSource, JsonlSource])
def test_a_file_is_no_folder_of_data(tmp_path: Path, source: Any) -> None:
    (tmp_path / "all.csv").write_text("source,target\na,b\n")
    options = (FilesOptions if source is FilesSource else JsonlOptions)(path=tmp_path / "all.csv")
    with pytest.raises(InputError, match=r"^data.path: .*all.csv is a file, where the folder of the data"):
        source(options).split("train")
    missing = (FilesOptions if source is FilesSource else JsonlOptions)(path=tmp_path / "all.cs")
    with pytest.raises(MissingError, match=r"does not exist; did you mean '.*all.csv'\?"):
        source(missing).split("train")


def test_an_id_comes_once(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("target,id\na,1\nb,1\n")
    assert "line 3: the id 'train-1' is that of" in refusal(tmp_path, id="id")
    assert "has no file train" in refusal(tmp_path / "..", train_limit=1)
