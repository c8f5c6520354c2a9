"""Models by name (dlmone/models/resolve.py) and models to pass on (dlmone/models/export.py)."""

import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import SafetensorError
from safetensors.torch import load_file

import dlmone
from dlmone.cli import main
from dlmone.core import Example
from dlmone.models import export
from dlmone.models.folder import publish
from dlmone.models.resolve import model_folder
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import Registry

OPTIONS = DiffuSeqOptions(
    seq_len=24, hidden_dim=16, hidden_t_dim=32, width=32, layers=1, heads=2, tokenizer="words"
)
PLUGIN = """
from pathlib import Path
from dlmone.registry import hookimpl

@hookimpl
def register_models(register):
    register("tiny-rain", __name__ + ":folder", help="writes of rain")

def folder():
    return Path({folder!r})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    teacher = DiffuSeqTeacher.build(OPTIONS, [Example("1", "what is rain ?", "tell me about rain")])
    facts = {"t_init": 1490, "unit_input": False}
    return publish(tmp_path / "made", teacher, "diffuseq", "student", "card", student=facts)


@pytest.fixture
def plugin(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "zoo_of_one.py"
    path.write_text(PLUGIN.format(folder=str(folder)))
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_plugin_can_bring_a_model_by_name(plugin: Path, folder: Path) -> None:
    registry = Registry.discover([plugin])
    assert model_folder("tiny-rain", registry) == folder
    named = dlmone.load("tiny-rain", device="cpu", registry=registry).generate(["what is rain ?"])
    assert named == dlmone.load(folder, device="cpu").generate(["what is rain ?"])
    code, stdout, _ = run("generate", "tiny-rain", "what is rain ?", "--plugin", plugin)
    assert (code, stdout) == (0, named[0][0] + "\n")


def test_a_folder_of_that_name_goes_first(
    plugin: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-rain").mkdir()
    assert model_folder("tiny-rain", Registry.discover([plugin])) == Path("tiny-rain")


def test_a_run_whose_student_was_being_replaced_has_one(folder: Path, tmp_path: Path) -> None:
    """A kill between the two renames leaves the old student beside its place."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "recipe.toml").touch()
    with pytest.raises(dlmone.InputError, match="this run has no student yet"):
        model_folder(run_dir, Registry.discover())
    folder.rename(run_dir / ".student-old-5")
    assert dlmone.load(run_dir, device="cpu").role == "student"


def test_a_misspelt_name(plugin: Path) -> None:
    code, stdout, stderr = run("generate", "tiny-rian", "text", "--plugin", plugin)
    assert (code, stdout) == (2, "")
    assert "there is no such model folder or installed model; did you mean 'tiny-rain'?" in stderr


def test_an_exported_model_is_half_as_large_and_writes_alike(folder: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("# mine")
    code, stdout, stderr = run("export", folder, tmp_path / "small", "--card", card)
    assert (code, stdout) == (0, f"{tmp_path / 'small'}\n")
    assert stderr.endswith(" MB\n")
    assert (tmp_path / "small" / "README.md").read_text() == "# mine"
    whole, small = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "small"))
    assert whole.keys() == small.keys()
    for name, tensor in whole.items():
        assert small[name].dtype == torch.bfloat16
        assert torch.equal(small[name], tensor.bfloat16())
    model = dlmone.load(tmp_path / "small", device="cpu")
    assert next(model.generator.network.parameters()).dtype == torch.float32
    assert len(model.generate(["what is rain ?"])[0]) == 1


def test_what_cannot_be_copied_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_bytes(b"caf\xe9")
    code, _, stderr = run("export", folder, tmp_path / "small", "--card", card)
    assert (code, stderr) == (2, f"error: {card}: cannot be read: it is not UTF-8 at byte 3\n")
    os.mkfifo(folder / "pipe")
    code, _, stderr = run("export", folder, tmp_path / "small")
    assert code == 1
    assert stderr == (
        f"error: {tmp_path / 'small'}: the copy cannot be written (`{folder / 'pipe'}` is a named pipe)\n"
    )
    (folder / "pipe").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "save_tensors", full)
        code, _, stderr = run("export", folder, tmp_path / "small")
    assert code == 1
    assert stderr == f"error: {tmp_path / 'small'}: the copy cannot be written (No space left on device)\n"
    assert not (tmp_path / "small").exists()


def full(*args: object) -> None:
    raise SafetensorError("No space left on device")


def test_nothing_is_overwritten_and_no_broken_model_passed_on(folder: Path, tmp_path: Path) -> None:
    assert run("export", folder, tmp_path)[0] == 2
    (folder / "model.safetensors").write_bytes(b"")
    code, _, stderr = run("export", folder, tmp_path / "small")
    assert code == 2
    assert "model.safetensors is empty: was its writing cut short?" in stderr
    assert not (tmp_path / "small").exists()


def test_an_export_that_breaks_off_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("dlmone.models.export.save_tensors", full)
        code, _, stderr = run("export", folder, tmp_path / "small")
    assert code != 0
    assert "No space left on device" in stderr
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert run("export", folder, tmp_path / "small")[0] == 0
