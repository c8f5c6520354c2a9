"""The data source `jsonl`, its errors above all."""

import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.core.text.data import Example
from dlmone.plugins.data.jsonl import JsonlSource
from dlmone.plugins.data.options import JsonlOptions

GOOD = '{"src": "a ?", "trg": "b ?"}'


def read(folder, name="train", **options):
    return JsonlSource(JsonlOptions(path=folder, **options)).split(name)


def refusal(folder, name="train"):
    with pytest.raises(InputError) as caught:
        read(folder, name)
    sentence = str(caught.value)
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    return sentence


def test_rows_are_stripped_and_numbered(tmp_path):
    rows = [{"src": " what ?\t", "trg": "how ?\n"}, {"src": "", "trg": "é\u2028è", "note": 1}]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert read(tmp_path) == [Example("train-0", "what ?", "how ?"), Example("train-1", "", "é\u2028è")]


def test_a_whole_surrogate_pair_is_a_character(tmp_path):
    (tmp_path / "train.jsonl").write_text(r'{"src": "\ud83d\ude00", "trg": ""}')
    assert read(tmp_path) == [Example("train-0", "😀", "")]


def test_line_separators_inside_a_text_end_no_row(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"src": "a\u2028b", "trg": "c\x85d"}\n', encoding="utf-8")
    assert read(tmp_path) == [Example("train-0", "a\u2028b", "c\x85d")]


def test_gzip_and_which_file_is_first(tmp_path):
    with gzip.open(tmp_path / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(GOOD)
    assert read(tmp_path, "test") == [Example("test-0", "a ?", "b ?")]
    (tmp_path / "test.jsonl").write_text('{"src": "plain", "trg": "file"}')
    assert read(tmp_path, "test") == [Example("test-0", "plain", "file")]


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "train.jsonl").write_text(GOOD)
    assert len(read(Path("~"))) == 1


def test_a_limit_takes_the_first_rows_of_its_split(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.jsonl").write_text(f"{GOOD}\n{GOOD}\nbroken")
    assert [example.id for example in read(tmp_path, train_limit=2)] == ["train-0", "train-1"]
    with pytest.raises(InputError, match="line 3"):
        read(tmp_path, "valid", train_limit=2)


def test_blank_lines_at_the_end_are_skipped_but_not_before_a_row(tmp_path):
    (tmp_path / "train.jsonl").write_text(f"{GOOD}\n\n  \n")
    assert len(read(tmp_path)) == 1
    (tmp_path / "train.jsonl").write_text(f"{GOOD}\n\n{GOOD}\n")
    assert "line 2: malformed JSON" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"src": "a"', "line 3: malformed JSON at column 12"),
        ("src,trg", "line 3: malformed JSON at column 1"),
        ('["a", "b"]', "line 3: expected a JSON object, found list"),
        ('{"trg": "b"}', 'line 3: the key "src" is missing'),
        ('{"src": "a", "target": "b"}', 'line 3: the key "trg" is missing'),
        ('{"src": "a", "trg": ["b"]}', 'line 3: "trg" must be a string, found list'),
        ('{"src": null, "trg": "b"}', 'line 3: the key "src" is missing'),
        (r'{"src": "a", "trg": "\ud800"}', 'line 3: "trg" holds half of a surrogate pair'),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path, line, complaint):
    path = tmp_path / "train.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n{line}\n{GOOD}\n")
    assert refusal(tmp_path).startswith(f"{path}, {complaint}")


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file(tmp_path, text):
    (tmp_path / "valid.jsonl").write_text(text)
    assert refusal(tmp_path, "valid") == f"{tmp_path / 'valid.jsonl'} is empty."


def test_a_missing_folder_or_file(tmp_path):
    assert refusal(tmp_path / "none") == f"The data folder {tmp_path / 'none'} does not exist."
    assert refusal(tmp_path, "valid") == f"{tmp_path} has neither valid.jsonl nor valid.jsonl.gz."


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("train.jsonl", b'{"src": "\xff", "trg": "b"}'),
        ("train.jsonl.gz", b"not gzip"),
        ("train.jsonl.gz", gzip.compress(GOOD.encode())[:-12]),
    ],
    ids=["encoding", "not-gzip", "cut-gzip"],
)
def test_a_file_that_cannot_be_read(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / file} cannot be read: ")


@pytest.mark.parametrize("wrong", [{}, {"path": ".", "limit": 3}, {"path": ".", "test_limit": 0}])
def test_wrong_options(wrong):
    with pytest.raises(ValidationError):
        JsonlOptions(**wrong)
