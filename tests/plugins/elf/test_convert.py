"""plugins/elf/convert.py on folders of the Hub's form; what it writes loads and generates offline."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor

import dlmone
from dlmone.cli import main
from dlmone.core import Batch, InputError
from dlmone.models.folder import load_student, load_teacher
from dlmone.plugins.elf.convert import FIXED, NAMES, RELEASED, convert, read_config
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.elf.vocabulary import Vocabulary
from dlmone.registry import Registry

DATA = Path(__file__).parents[2] / "data" / "elf"
SETTINGS = json.loads((DATA / "config.json").read_text())


@pytest.fixture
def t5(tmp_path: Path, vocabulary: Vocabulary) -> Path:
    """T5's folder: configuration, weights (with the tied copy of the table), tokenizer."""
    folder = tmp_path / "t5"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", **SETTINGS["small_t5"]}))
    weights = load_file(DATA / "t5_encoder.safetensors")
    weights["encoder.embed_tokens.weight"] = weights["shared.weight"].clone()
    weights["decoder.final_layer_norm.weight"] = torch.ones(16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_bytes(vocabulary.to_bytes())
    return folder


def checkpoint(folder: Path, weights: str = "model", step: int = 39800, **changes: object) -> Path:
    """Write a folder with what the official save_checkpoint writes."""
    folder.mkdir()
    average = load_file(DATA / f"{weights}.safetensors")
    content = {
        "params": {key: torch.zeros_like(value) for key, value in average.items()},
        "ema_params1": average,
        "opt_state": {"state": {"0": {"step": 1}}, "param_groups": [{"lr": 0.002, "betas": [0.9, 0.999]}]},
        "lr_scheduler": {"last_epoch": 1},
        "step": step,
        "epoch": 1,
        "dropout_rng": torch.zeros(5056, dtype=torch.uint8),
        "grad_accum_buffers": {},
    }
    torch.save({**content, **changes}, folder / f"checkpoint_{step}")
    return folder


def settings(folder: Path, kind: str, **changes: object) -> Path:
    """Write the config.yml of a training run."""
    lines = {**SETTINGS[f"config_{kind}"], **changes}
    (folder / "config.yml").write_text(
        "\n".join(f"{key}: {json.dumps(value)}" for key, value in lines.items())
    )
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return settings(checkpoint(tmp_path / "hub"), "conditional")


def test_a_converted_teacher_computes_what_the_official_model_does(
    folder: Path,
    t5: Path,
    tmp_path: Path,
    official: Callable[[str], dict[str, Tensor]],
    batch_of: Callable[..., Batch],
) -> None:
    out = tmp_path / "converted"
    torch.save({"ema_params1": {}}, folder / "checkpoint_9")  # an earlier one
    result = CliRunner().invoke(main, ["convert", "elf", str(folder), str(out), "--tokenizer", str(t5)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "weights: 73,584 numbers from checkpoint_39800" in result.stderr
    # The folder is all there is from here on.
    for path in t5.iterdir():
        path.unlink()
    teacher = load_teacher(out, Registry.discover())
    assert isinstance(teacher, ElfTeacher)
    f, e = official("forward"), official("encoder")
    answer = teacher.network.denoise(
        f["z"], 1 - f["t"].double(), batch_of(torch.zeros(6, 24, dtype=torch.long)), guidance=f["w"]
    )
    torch.testing.assert_close(answer.x0, f["x_uncond"], rtol=0, atol=1e-5)
    batch = batch_of(e["cond_input_ids"], e["cond_cond_seq_mask"])
    torch.testing.assert_close(teacher.space.embed(batch), e["cond_x0"], rtol=0, atol=1e-5)
    options = teacher.options
    assert (options.length, options.source_length, options.padding) == (24, 12, "eos")
    assert (options.condition_dropout, options.decoder_noise, options.latent_std) == (0.1, 1.0, 0.2)
    for sampler in ("elf", "elf:sde", "ddim"):
        args = ["generate", str(out), "word5 word6", "word7", "--sampler", sampler, "--steps", "3"]
        written = CliRunner().invoke(main, args)
        assert written.exit_code == 0, written.output
        assert len(written.stdout.splitlines()) == 2


def test_the_released_student_is_a_student_and_is_sampled_in_1_to_32_steps(
    t5: Path, tmp_path: Path, official: Callable[[str], dict[str, Tensor]]
) -> None:
    """Without a condition it needs T5's tokenizer alone."""
    folder = checkpoint(tmp_path / "ELF-B-PD-owt-torch", "student")
    settings(folder, "unconditional", pd_step_size=1.0)
    (t5 / "model.safetensors").unlink()
    out = tmp_path / "student"
    result = CliRunner().invoke(main, ["convert", "elf", str(folder), str(out), "--tokenizer", str(t5)])
    assert result.exit_code == 0, result.output
    assert json.loads((out / "config.json").read_text())["role"] == "student"
    assert "student" in (out / "README.md").read_text().splitlines()[0]
    student = load_student(out, Registry.discover())
    assert student.t_init == 1.0
    assert torch.equal(
        student.network.state_dict()["proj_kernel"], load_file(DATA / "student.safetensors")["proj_kernel"]
    )
    model = dlmone.load(out)
    assert model.role == "student"
    # Its one call by default is the first of its sampler's: w = 2.5 at pure noise.
    published = {"use": "elf", "method": "sde", "gamma": 1.5, "guidance": 2.5}
    assert model.generate([""], steps=1) == dlmone.load(out, sampler=published).generate([""], steps=1)
    texts = set()
    for steps in (1, 2, 4, 8, 16, 32):
        sampler = published if steps < 16 else {**published, "gamma": 2.0, "guidance": 2.0}
        [[text]] = dlmone.load(out, sampler=sampler).generate([""], steps=steps)
        assert text.startswith("word")
        texts.add(text)
    assert len(texts) == 6


def test_released_settings_are_known_by_name(tmp_path: Path) -> None:
    released = json.loads((DATA / "released_configs.json").read_text())
    for name in ("ELF-B-owt", "ELF-B-de-en", "ELF-B-xsum", "ELF-B-PD-owt"):
        found, where = read_config(tmp_path, f"{name}-torch")
        assert where.endswith(name.removeprefix("ELF-B-"))
        for key in (*NAMES.values(), *FIXED):
            assert found[key] == released[name][key], (name, key)
    assert [bool(one.get("pd_step_size")) for one in RELEASED.values()] == [True, False, False, False]
    with pytest.raises(InputError, match=r"holds no config\.yml, and 'mine' is not the name of a release"):
        read_config(tmp_path, "mine")


def test_a_released_name_stands_for_its_settings(t5: Path, tmp_path: Path) -> None:
    conversion = convert(checkpoint(tmp_path / "ELF-B-xsum-torch"), tokenizer=str(t5))
    assert isinstance(conversion.teacher, ElfTeacher)
    assert conversion.student is None
    assert (conversion.teacher.options.length, conversion.teacher.options.source_length) == (1088, 1024)


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_safetensors_and_compiled_names_are_read_too(
    folder: Path, t5: Path, prefix: str, network: torch.nn.Module
) -> None:
    (folder / "checkpoint_39800").unlink()
    weights = load_file(DATA / "model.safetensors")
    save_file({prefix + key: value for key, value in weights.items()}, folder / "model.safetensors")
    conversion = convert(folder, tokenizer=str(t5))
    for key, value in network.state_dict().items():
        assert torch.equal(conversion.teacher.network.state_dict()[key], value)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('code in the checkpoint was run')",)


def test_a_checkpoint_that_would_run_code_is_refused(folder: Path, t5: Path) -> None:
    (folder / "checkpoint_39801").write_bytes(pickle.dumps({"ema_params1": Evil()}))
    with pytest.raises(InputError, match="holds more than tensors, and nothing else is read"):
        convert(folder, tokenizer=str(t5))
    torch.save({"ema_params1": {"proj_bias": Evil()}}, folder / "checkpoint_39802")
    with pytest.raises(InputError, match="holds more than tensors, and nothing else is read"):
        convert(folder, tokenizer=str(t5))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"denoiser_p_mean": -1.0}, r"denoiser_p_mean is -1\.0 and not -1\.5, which this plugin has for"),
        ({"latent_mean": 0.1}, r"latent_mean is 0\.1 and not 0\.0"),
        ({"pad_token": "bos"}, r"config\.yml: pad_token: expected 'eos' or 'pad'"),
        ({"max_input_length": 24}, "source_length 24 leaves no room for a target in length 24"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    folder: Path, t5: Path, changes: dict[str, object], sentence: str
) -> None:
    settings(folder, "conditional", **changes)
    with pytest.raises(InputError, match=sentence):
        convert(folder, tokenizer=str(t5))


def test_weights_that_do_not_fit_are_named(folder: Path, t5: Path, tmp_path: Path) -> None:
    weights = load_file(DATA / "model.safetensors")
    del weights["blocks.1.norm2.weight"], weights["mode_tokens"]
    torch.save({"ema_params1": weights}, folder / "checkpoint_39801")
    with pytest.raises(InputError, match="these weights are not ELF's: they lack or misshape 'mode_tokens'"):
        convert(folder, tokenizer=str(t5))
    weights["mode_tokens"], weights["strange"] = torch.zeros(1, 2, 32), torch.zeros(1)
    torch.save({"ema_params1": weights}, folder / "checkpoint_39801")
    with pytest.raises(InputError, match=r"1 missing \(blocks\.1\.norm2\.weight\); 1 unexpected \(strange\)"):
        convert(folder, tokenizer=str(t5))
    torch.save({"params": weights}, folder / "checkpoint_39801")
    with pytest.raises(InputError, match="holds no averaged weights, 'ema_params1'"):
        convert(folder, tokenizer=str(t5))


def test_damaged_and_missing_files_are_refused(folder: Path, t5: Path, tmp_path: Path) -> None:
    (t5 / "tokenizer.json").write_bytes(Vocabulary.words(["a b c"]).to_bytes())
    with pytest.raises(InputError, match="tells 120 tokens apart, but the tokenizer has 6"):
        convert(folder, tokenizer=str(t5))
    (t5 / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no T5 encoder: .*; a model with a condition needs T5's encoder"):
        convert(folder, tokenizer=str(t5))
    (t5 / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"config\.json: model_type is 'bert' and not 't5'"):
        convert(folder, tokenizer=str(t5))
    (t5 / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="say where T5-small lies with --tokenizer PATH"):
        convert(folder, tokenizer=str(t5))
    (folder / "config.yml").write_text("a: [")
    with pytest.raises(InputError, match=r"config\.yml is not YAML"):
        convert(folder)
    (folder / "config.yml").write_text("max_length: 24")
    with pytest.raises(InputError, match=r"config\.yml lacks max_input_length, pad_token"):
        convert(folder)
    path = folder / "checkpoint_39800"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="checkpoint_39800 "):
        convert(folder)
    path.unlink()
    with pytest.raises(InputError, match="is no ELF checkpoint folder: it holds no checkpoint_<step>"):
        convert(folder)
    with pytest.raises(InputError, match="there is no model folder"):
        convert(tmp_path / "nowhere")
