"""plugins/diffuseq/__init__.py and options.py: what a recipe can say, without torch."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from dlmone.plugins import diffuseq
from dlmone.plugins.diffuseq.options import DDPMOptions, DiffuSeqOptions, SamplerOptions


def registered(hook: str) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}

    def register(name: str, target: str, *, options: str | None = None, help: str = "") -> None:
        assert help
        found[name] = (target.rpartition(".")[2], options and options.rpartition(".")[2])

    getattr(diffuseq, hook)(register)
    return found


def test_what_is_registered() -> None:
    assert registered("register_teachers") == {
        "diffuseq": ("teacher:DiffuSeqTeacher", "options:DiffuSeqOptions")
    }
    assert registered("register_samplers") == {
        "diffuseq_ddpm": ("samplers:DiffuSeqDDPM", "options:DDPMOptions"),
        "diffuseq_ddim": ("samplers:DiffuSeqDDIM", "options:SamplerOptions"),
    }
    assert registered("register_converters") == {"diffuseq": ("convert:convert", None)}


def test_options_import_neither_torch_nor_tokenizers() -> None:
    code = (
        "import sys, dlmone.plugins.diffuseq.options; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'tokenizers', 'safetensors')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"width": 100, "heads": 12}, "width 100 is not a multiple of heads 12"),
        ({"seq_len": 600}, "seq_len 600 is more than max_positions 512"),
        ({"seq_len": 5}, "greater than or equal to 6"),
        ({"noise_schedule": "sqr"}, "'sqrt', 'linear' or 'cosine'"),
        ({"hiden_dim": 64}, "Extra inputs are not permitted"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_mistakes_are_explained(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        DiffuSeqOptions.model_validate(wrong)


def test_sampler_options() -> None:
    assert DDPMOptions(clamp_step=20).rounding
    assert not SamplerOptions(rounding=False).rounding
    with pytest.raises(ValidationError, match="Extra inputs"):
        SamplerOptions.model_validate({"clamp_step": 3})


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"init_embedding": True}, "init_from, which names no encoder"),
        ({"time_sampler": "noisy", "noisy_from": 50, "diffusion_steps": 50}, "noisy_from 50 is not below"),
    ],
)
def test_options_that_would_do_nothing_are_refused(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        DiffuSeqOptions.model_validate(table)
