"""registry/filetype.py: a file that was taken for weights is named as what it is."""

from pathlib import Path

import pytest

from dlmone.registry.filetype import mistaken


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: was its writing cut short?"),
        (b" \n", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "is a pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (b"<?xml version='1.0'?><Error>", "is a web page"),
    ],
)
def test_what_a_file_is(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x").write_bytes(content)
    assert mistaken(tmp_path / "x").startswith(sentence)


def test_of_other_files_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    assert mistaken(tmp_path / "x") == mistaken(tmp_path) == mistaken(tmp_path / "none") == ""
