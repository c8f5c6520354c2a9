"""dlmone generate --resume: the file of samples is continued, or left as it is."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock

import dlmone
from dlmone.cli import main
from dlmone.evaluation.samples import read_samples
from dlmone.models.model import Model

SOURCES = ["how do i learn ?", "what is it ?", "how is it ?"]


def generate(*args):
    return CliRunner().invoke(main, ["generate", *map(str, args)])


def lines(result):
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.fixture
def rows(tmp_path):
    """A file of many rows, and a function that writes for it into ``out.jsonl``."""
    rows = [{"id": f"x{number}", "src": SOURCES[number % 3], "trg": "what is it"} for number in range(20)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "in.jsonl"


@pytest.mark.parametrize("torn", ["", '{"id": "x9", "source"', '{"id": "x9"}'])
def test_a_file_is_continued_where_it_was_cut(tiny_run, rows, tmp_path, torn):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    settings = (tiny_run, "-i", rows, "--candidates", 2, "--seed", 5)
    assert lines(generate(*settings, "-o", whole)) == []
    cut.write_text("".join(whole.read_text().splitlines(keepends=True)[:9]) + torn)
    assert lines(generate(*settings, "-o", cut, "--resume", "--batch", 4)) == []
    assert cut.read_text() == whole.read_text()
    assert lines(generate(*settings, "-o", cut, "--resume")) == []
    assert cut.read_text() == whole.read_text()


def test_an_interruption_keeps_what_is_done_and_says_how_to_go_on(tiny_run, rows, tmp_path, monkeypatch):
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    calls = []

    def interrupted(self, batch, config):
        calls.append(batch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate_batch(self, batch, config)

    generate_batch = Model.generate_batch
    settings = (tiny_run, "-i", rows, "--batch", 4, "-o")
    with monkeypatch.context() as patch:
        patch.setattr(Model, "generate_batch", interrupted)
        result = generate(*settings, out)
    assert result.exit_code == 130
    assert (
        result.stderr == f"interrupted after 8 texts; {out} keeps what is done, and --resume continues it\n"
    )
    assert len(read_samples(out).samples) == 8
    assert lines(generate(*settings, out, "--resume")) == lines(generate(*settings, whole)) == []
    assert out.read_text() == whole.read_text()


@pytest.fixture
def collated(tiny_run, monkeypatch):
    """The ids of all examples that were tokenised, in order."""
    space = type(dlmone.load(tiny_run, device="cpu").generator.space)
    collate, ids = space.collate, []

    def counted(self, examples):
        ids.extend(example.id for example in examples)
        return collate(self, examples)

    monkeypatch.setattr(space, "collate", counted)
    return ids


def test_each_text_is_tokenised_once(tiny_run, rows, tmp_path, collated):
    out = tmp_path / "out.jsonl"
    settings = (tiny_run, "-i", rows, "-o", out, "--batch", 4)
    lines(generate(*settings))
    assert collated == [f"x{number}" for number in range(20)]
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:6]))
    collated.clear()
    lines(generate(*settings, "--resume"))
    assert collated == [f"x{number}" for number in range(20)]
    collated.clear()
    dlmone.load(tiny_run, device="cpu").generate(SOURCES, batch=2, candidates=2)
    assert collated == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "is there already: continue it with --resume, or name another file"),
        (["--resume", "--seed", 6], "it was not written so (other: seeds); repeat the model and settings"),
        (["--resume", "--sampler", "ddim", "--steps", 2], "(other: sampler, steps)"),
        (["--resume", "--select", "mbr"], "(other: selector, drawn)"),
        (["--resume", "--candidates", 2], "its samples have 1 candidates, not 2"),
    ],
)
def test_another_job_does_not_continue_a_file(tiny_run, rows, tmp_path, args, message):
    out = tmp_path / "out.jsonl"
    lines(generate(tiny_run, "-i", rows, "-o", out))
    before = out.read_text()
    result = generate(tiny_run, "-i", rows, "-o", out, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert message in line
    assert out.read_text() == before


def test_other_texts_or_another_model_do_not_continue_a_file(tiny_run, rows, tmp_path):
    out = tmp_path / "out.jsonl"
    lines(generate(tiny_run, "-i", rows, "-o", out))
    changed, fewer = tmp_path / "changed.jsonl", tmp_path / "fewer.jsonl"
    changed.write_text(rows.read_text().replace("learn", "it"))
    fewer.write_text("".join(rows.read_text().splitlines(keepends=True)[:7]))
    for model, texts, message in (
        (tiny_run, changed, "out.jsonl, line 1: written for another text than this one, of id 'x0'"),
        (tiny_run, fewer, "out.jsonl holds 20 samples, and there are 7 texts"),
        (tiny_run / "teacher", rows, "(other: model, sampler, steps)"),
    ):
        result = generate(model, "-i", texts, "-o", out, "--resume")
        assert result.exit_code == 2
        assert message in result.stderr


def test_another_text_that_is_read_alike_does_not_continue_a_file(tiny_run, tmp_path):
    """Of words that the model doesn't know, it can't tell one from another."""
    out, texts = tmp_path / "out.jsonl", tmp_path / "in.txt"
    texts.write_text("HOW can i zzzzq\n")
    lines(generate(tiny_run, "-i", texts, "-o", out))
    before = out.read_text()
    assert generate(tiny_run, "-i", texts, "-o", out, "--resume").exit_code == 0
    texts.write_text("how can i zzzzq\n")
    result = generate(tiny_run, "-i", texts, "-o", out, "--resume")
    assert result.exit_code == 2
    assert "out.jsonl, line 1: written for another text than this one, of id '0'" in result.stderr
    assert out.read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "mine", "learning_rate": 0.1}',
        "learning_rate = 0.1",
        "[1, 2]",
        '{"id": "x"}',
        "\0\1",
        '{"source": "a", "candidates": ["b"]}',
    ],
)
def test_a_file_of_another_kind_stays_as_it_is(tiny_run, rows, tmp_path, text):
    """Also one that has no end of line, which is how a torn sample looks."""
    out = tmp_path / "settings"
    out.write_text(text)
    result = generate(tiny_run, "-i", rows, "-o", out, "--resume")
    assert result.exit_code == 2
    assert "not a file of samples that dlmone began, so it stays as it is" in result.stderr
    assert out.read_text() == text


@pytest.mark.parametrize("size", [1, 7, 20, 60])
def test_a_file_torn_in_its_first_line_is_begun_anew(tiny_run, rows, tmp_path, size):
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    lines(generate(tiny_run, "-i", rows, "-o", whole))
    torn.write_bytes(whole.read_bytes()[:size])
    lines(generate(tiny_run, "-i", rows, "-o", torn, "--resume"))
    assert torn.read_bytes() == whole.read_bytes()


def test_a_file_that_another_process_writes_is_refused(tiny_run, rows, tmp_path):
    out = tmp_path / "out.jsonl"
    with FileLock(tmp_path / ".out.jsonl.lock"):
        result = generate(tiny_run, "-i", rows, "-o", out)
        assert result.exit_code == 2
        assert f"{out}: another process is writing this file" in result.stderr
        assert not out.exists()
    lines(generate(tiny_run, "-i", rows, "-o", out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("/dev/full", "No space left on device"),
        ("file/deep/x.jsonl", "Not a directory"),
        ("/proc/self/x.jsonl", "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tiny_run, tmp_path, monkeypatch, out, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    result = generate(tiny_run, SOURCES[0], "-o", out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {out}: cannot be written ({reason})\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_no_folder_for_another(tiny_run, tmp_path):
    (tmp_path / "file").write_text("mine")
    result = generate(tiny_run, SOURCES[0], "-o", tmp_path / "file" / "x.jsonl")
    assert result.exit_code == 2
    assert f"{tmp_path / 'file'} is a file, where a folder was expected" in result.stderr
