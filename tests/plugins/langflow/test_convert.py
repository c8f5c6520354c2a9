"""plugins/langflow/convert.py on a folder of the Hub's form; what it writes loads and writes text offline."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor

from dlmone.cli import main
from dlmone.core import Batch, InputError
from dlmone.models.folder import load_teacher
from dlmone.plugins.langflow.convert import convert
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.text import Vocabulary
from dlmone.registry import Registry

MODEL = Path(__file__).parents[2] / "data" / "langflow" / "model"
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path, vocabulary: Vocabulary) -> Path:
    """The Hub's folder, code and all, with a tokenizer."""
    copy = tmp_path / "hub"
    shutil.copytree(MODEL, copy)
    (copy / "tokenizer.json").write_bytes(vocabulary.to_bytes())
    for name in ("model.py", "config.py", "__init__.py"):
        (copy / name).write_text("raise SystemExit('the code in the folder was run')")
    return copy


def test_a_converted_folder_computes_what_the_official_model_does(
    folder: Path,
    tmp_path: Path,
    official: Callable[[str], dict[str, Tensor]],
    batch_of: Callable[[Tensor], Batch],
) -> None:
    out = tmp_path / "converted"
    result = CliRunner().invoke(main, ["convert", "langflow", str(folder), str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    # The weights' schedule, not the config's: loc 4.723, scale 0.852.
    assert "schedule: loc 2.3, scale 0.8, entropy 5.1 from the weights" in result.stderr
    teacher = load_teacher(out, Registry.discover())
    assert isinstance(teacher, LangFlowTeacher)
    wanted = official("forward")
    t_B = teacher.space.schedule.time_of_gamma(wanted["a_gamma"])
    answer = teacher.network.denoise(wanted["a_z"], t_B, batch_of(wanted["input_ids"]))
    torch.testing.assert_close(answer.x0, wanted["a_x0_first"], rtol=0, atol=1e-5)
    # A model without a condition: a text of nothing for each output that is wanted.
    for sampler in ("langflow", "ddim"):
        args = ["generate", str(out), "", "", "--sampler", sampler, "--steps", "3"]
        written = CliRunner().invoke(main, args)
        assert written.exit_code == 0, written.output
        lines = written.stdout.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("word") for line in lines)
        assert lines[0] != lines[1]


def test_the_tokenizer_can_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    shutil.move(folder / "tokenizer.json", tmp_path / "tokenizer" / "tokenizer.json")
    with pytest.raises(
        InputError, match=r"no tokenizer\.json or vocab\.txt or vocab\.json: .* --tokenizer PATH .*gpt2"
    ):
        convert(folder)
    conversion = convert(folder, tokenizer=str(tmp_path / "tokenizer"))
    assert isinstance(conversion.teacher, LangFlowTeacher)
    assert conversion.teacher.space.vocabulary.size == 200


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "bert"}, "model_type is 'bert' and not 'LangFlow'"),
        ({"n_heads": None, "cond_dim": None}, r"config\.json lacks cond_dim, n_heads"),
        ({"n_heads": 5}, "width 64 is not a multiple of 2·heads"),
        ({"dropout": "much"}, r"config\.json: dropout: expected a valid number"),
        ({"vocab_size": 300}, "vocab_size is 300, but the tokenizer has 200 tokens"),
        ({"n_blocks": 3}, r"10 missing \(backbone\.blocks\.2\."),
        ({"n_blocks": 1}, r"10 unexpected \(backbone\.blocks\.1\."),
        ({"self_conditioning": False}, r"1 unexpected \(backbone\.self_cond_proj\.weight\)"),
        (
            {"cond_dim": 16},
            r"\.0\.adaLN_modulation\.weight \(384, 32\), not \(384, 16\)",
        ),
    ],
)
def test_configurations_that_do_not_fit_are_named(
    folder: Path, changes: dict[str, object], sentence: str
) -> None:
    change_config(folder, **changes)
    with pytest.raises(InputError, match=sentence):
        convert(folder)


def test_other_rotations_are_refused(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["backbone.rotary_emb.inv_freq"] *= 2
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(InputError, match="inv_freq are not 10000"):
        convert(folder)


def test_damaged_and_missing_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5000])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        convert(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InputError, match=r"is no LangFlow checkpoint folder: it holds no model\.safetensors"):
        convert(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json is not JSON"):
        convert(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"is no LangFlow checkpoint folder: it holds no config\.json"):
        convert(folder)
    with pytest.raises(InputError, match="there is no model folder"):
        convert(tmp_path / "nowhere")
