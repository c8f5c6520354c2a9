"""dlmone convert, on a tiny checkpoint in the official format."""

from pathlib import Path

from click.testing import CliRunner

from dlmone.cli import main
from dlmone.models.configuration import read_config

CHECKPOINT = Path(__file__).parents[1] / "data" / "diffuseq_ckpt" / "ckpt_small"


def test_convert(tmp_path):
    markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "tokenizer").mkdir()
    words = [*markers, *(f"word{number}" for number in range(200 - len(markers)))]
    (tmp_path / "tokenizer" / "vocab.txt").write_text("\n".join(words) + "\n")
    out = tmp_path / "teacher"
    args = ["convert", "diffuseq", str(CHECKPOINT), str(out)]
    bare = CliRunner().invoke(main, args)
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert "--tokenizer PATH" in bare.stderr
    assert not out.exists()
    args += ["--tokenizer", str(tmp_path / "tokenizer")]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "weights: ema_0.9999_000004.pt" in result.stderr
    assert read_config(out)["role"] == "teacher"
    assert "ema_0.9999_000004.pt" in (out / "README.md").read_text()
    written = CliRunner().invoke(main, ["generate", str(out), "word1 word2", "--steps", "2"])
    assert written.exit_code == 0, written.output
    assert len(written.stdout.splitlines()) == 1
    again = CliRunner().invoke(main, args)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
