"""dlmone report refuses what is no run and replaces nothing but its own page."""

import pytest
from click.testing import CliRunner

from dlmone.cli import main


def test_a_page_replaces_a_page_and_nothing_else(run, tmp_path):
    out = tmp_path / "notes.html"
    out.write_text("my notes")
    result = CliRunner().invoke(main, ["report", str(run), "-o", str(out)])
    assert result.exit_code == 2
    assert f"{out} is there already and is no page of a report" in result.stderr
    assert out.read_text() == "my notes"
    out.write_text("<!DOCTYPE html>an older page")
    assert CliRunner().invoke(main, ["report", str(run), "-o", str(out)]).exit_code == 0
    assert "an older page" not in out.read_text()


def test_a_figure_replaces_a_figure_and_nothing_else(run, tmp_path):
    figures = tmp_path / "figures"
    words = ["report", str(run), "-o", str(tmp_path / "page.html"), "--figures", str(figures)]
    for _ in range(2):
        assert CliRunner().invoke(main, words).exit_code == 0
    mine = min(figures.glob("*.png"))
    mine.write_text("mine")
    (tmp_path / "page.html").unlink()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert f"{mine} is there already and is no figure of a report" in result.stderr
    assert mine.read_text() == "mine"
    assert not (tmp_path / "page.html").exists()


def test_folders_and_files_in_each_others_place_are_refused_at_once(run, tmp_path, monkeypatch):
    monkeypatch.setattr("dlmone.report.reading.read_runs", lambda paths: pytest.fail("something was read"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for args, sentence in (
        (["-o", tmp_path / "folder"], "folder: a folder, where the page's file was expected"),
        (["-o", "-"], "-o -: a page is written to a file; name one"),
        (["--figures", tmp_path / "file"], "file: a file, where the figures' folder was expected"),
    ):
        result = CliRunner().invoke(main, ["report", str(run), *map(str, args)])
        assert result.exit_code == 2
        assert sentence in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_run_is_refused(run, tmp_path):
    def refusal(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["report", *map(str, args)])
        assert len(result.stderr.splitlines()) == 1
        return result.exit_code, result.stderr

    code, sentence = refusal(tmp_path)
    assert code == 2
    assert f"{tmp_path}: there is no run here" in sentence
    code, sentence = refusal(run, run / ".." / run.name)
    assert code == 2
    assert "is given twice" in sentence
    code, sentence = refusal(run, "--select", "mbl")
    assert code == 3
    assert "mbl" in sentence
    assert "mbr" in sentence
