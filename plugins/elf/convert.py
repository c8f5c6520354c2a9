"""Official ELF checkpoints: a folder, or a repository of the Hugging Face hub, read strictly.

A repository holds one pickle, ``checkpoint_<step>``. Tensors, numbers and strings are read from it; a file
with anything else, such as code, is refused.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dlmone.core import Conversion, InputError
from dlmone.plugins.bert.folders import model_folder
from dlmone.plugins.bert.weights import check_tensors
from dlmone.registry.explain import mistakes
from dlmone.registry.filetype import mistaken

from .encoder import load_encoder
from .options import ElfOptions, T5Sizes
from .teacher import ElfTeacher, load_vocabulary
from .vocabulary import Vocabulary

CONFIG, WEIGHTS, TOKENIZER = "config.yml", "model.safetensors", "tokenizer.json"
CHECKPOINT = re.compile(r"checkpoint_(\d+)")
T5 = "google-t5/t5-small"
#: The averaged weights in a checkpoint, which evaluation uses.
AVERAGE = "ema_params1"
#: Options by their official names.
NAMES = {
    "length": "max_length",
    "source_length": "max_input_length",
    "padding": "pad_token",
    "latent_std": "latent_std",
    "decoder_noise": "decoder_noise_scale",
    "decoder_rate": "decoder_prob",
    "self_conditioning_rate": "self_cond_prob",
    "condition_dropout": "label_drop_prob",
}
#: Official settings that this plugin has as constants.
FIXED = {
    "latent_mean": 0.0,
    "denoiser_noise_scale": 2.0,
    "denoiser_p_mean": -1.5,
    "denoiser_p_std": 0.8,
    "decoder_p_mean": 0.8,
    "decoder_p_std": 0.8,
    "self_cond_cfg_min": 0.5,
    "self_cond_cfg_max": 5.0,
    "t_eps": 0.05,
}
_SEQ2SEQ = {"pad_token": "eos", "decoder_noise_scale": 1.0, "label_drop_prob": 0.1}
_TEXT = {"max_length": 1024, "max_input_length": None, "pad_token": "pad", "decoder_noise_scale": 5.0}
#: The released configurations, by what the name of a repository says; most hold no config.yml.
RELEASED: Mapping[str, Mapping[str, Any]] = {
    "PD-owt": {**_TEXT, "label_drop_prob": 0.0, "pd_step_size": 1.0},
    "owt": {**_TEXT, "label_drop_prob": 0.0},
    "de-en": {**_SEQ2SEQ, "max_length": 128, "max_input_length": 64},
    "xsum": {**_SEQ2SEQ, "max_length": 1088, "max_input_length": 1024},
}
_SHARED = {"latent_std": 0.2, "decoder_prob": 0.2, "self_cond_prob": 0.5, **FIXED}
#: The scale of guidance that the released distilled student is sampled with in few steps.
STUDENT_GUIDANCE = 2.5


class Encoder(NamedTuple):
    """T5: its tokenizer, its sizes, and itself, None where only the tokenizer is at hand."""

    vocabulary: Vocabulary
    sizes: T5Sizes
    module: nn.Module | None


def convert(source: Path, tokenizer: str | None = None) -> Conversion:
    """Read an official checkpoint, of a teacher or of a student of progressive distillation.

    Args:
        source: a folder with a ``checkpoint_<step>``, or the name of one on the hub. What its weights do not
            tell is read from its ``config.yml``; without one, its name must be that of a release.
        tokenizer: where T5-small lies, tokenizer and encoder (a folder, ``package:NAME``, a name of the
            hub), if not in the folder. A model without a condition needs only the tokenizer.

    Raises:
        InputError: a file is missing or malformed, a setting is not one that this plugin has, or names or
            shapes of tensors do not fit.
    """
    folder = model_folder(str(source), ("checkpoint_*", CONFIG, WEIGHTS, TOKENIZER))
    path = weights_file(folder)
    official = read_weights(path)
    config, where = read_config(folder, source.name)
    options = options_of(where, config, official)
    encoder = read_encoder(folder, tokenizer, options, len(official["proj_bias"]))
    if encoder.vocabulary.size != (tokens := len(official["unembed_bias"])):
        raise InputError(
            f"{path} tells {tokens} tokens apart, but the tokenizer has {encoder.vocabulary.size}"
        )
    teacher = ElfTeacher(options, encoder.vocabulary, encoder.module, encoder.sizes)
    try:
        check_tensors(official, teacher.network.state_dict())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    teacher.network.load_state_dict(official)
    is_student, depth = bool(config.get("pd_step_size")), encoder.sizes.num_layers
    return Conversion(
        teacher,
        (
            f"weights: {sum(value.numel() for value in official.values()):,} numbers from {path.name}",
            f"transformer: {options.layers} blocks of width {options.width}, {options.heads} heads",
            f"configuration: {where}",
            f"encoder: {'none, it reads no texts' if encoder.module is None else f'{depth} layers'}",
            f"tokenizer: {encoder.vocabulary.size} tokens",
            *(["a student: sampled in 1 to 32 steps by the sampler elf (sde)"] if is_student else []),
        ),
        {"t_init": 1.0, "unit_input": False, "calls": 1} if is_student else None,
    )


def weights_file(folder: Path) -> Path:
    """Return the checkpoint of the last step, or ``model.safetensors`` where there is none.

    Raises:
        InputError: the folder holds neither.
    """
    steps = {int(found[1]): path for path in folder.iterdir() if (found := CHECKPOINT.fullmatch(path.name))}
    path = steps[max(steps)] if steps else folder / WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{folder} is no ELF checkpoint folder: it holds no checkpoint_<step> and no {WEIGHTS}"
        )
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the averaged weights of a checkpoint, or the tensors of a safetensors file.

    Raises:
        InputError: the file is damaged, holds something else, or would run code.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = {AVERAGE: load_file(path)}
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        what = mistaken(path) or f"holds more than tensors, and nothing else is read ({reason})"
        raise InputError(f"{path} {what}") from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        what = mistaken(path) or f"cannot be read ({' '.join(str(error).split())})"
        raise InputError(f"{path} {what}") from None
    weights = content.get(AVERAGE) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path} holds no averaged weights, {AVERAGE!r}: it is no checkpoint of ELF")
    return {key.removeprefix("_orig_mod."): value.detach().float() for key, value in weights.items()}


def read_config(folder: Path, name: str) -> tuple[Mapping[str, Any], str]:
    """Return the official settings, and where they come from.

    Raises:
        InputError: there is no ``config.yml`` and the name is not a release's, or the file is malformed.
    """
    path = folder / CONFIG
    if not path.is_file():
        for release, settings in RELEASED.items():
            if release in name:
                return {**_SHARED, **settings}, f"that of the release {release}"
        raise InputError(
            f"{folder} holds no {CONFIG}, and {name!r} is not the name of a release "
            f"({', '.join(RELEASED)}), whose settings are known"
        )
    try:
        import yaml

        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except ImportError:
        raise InputError(f"{path}: reading it takes dlmone[elf]") from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings")
    if absent := [key for key in NAMES.values() if key not in content]:
        raise InputError(f"{path} lacks {', '.join(absent)}")
    return content, str(path)


def options_of(where: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> ElfOptions:
    """Return the options that official settings, and the shapes of the weights, stand for.

    Raises:
        InputError: a setting is not one that this plugin has, or tensors are missing that tell sizes.
    """
    wrong = [
        f"{key} is {config[key]!r} and not {value}"
        for key, value in FIXED.items()
        if config.get(key, value) != value
    ]
    if wrong:
        raise InputError(f"{where}: {'; '.join(wrong)}, which this plugin has for constants")
    try:
        width = weights["t_emb_tokens"].shape[2]
        sizes: dict[str, Any] = {
            "width": width,
            "layers": len({key.split(".")[1] for key in weights if key.startswith("blocks.")}),
            "heads": width // len(weights["blocks.0.attn.q_norm.weight"]),
            "bottleneck": len(weights["text_proj.proj1.weight"]),
            "time_tokens": weights["t_emb_tokens"].shape[1],
            "guidance_tokens": weights["self_cond_cfg_tokens"].shape[1],
            "mode_tokens": weights["mode_tokens"].shape[1],
        }
        len(weights["unembed_bias"]), len(weights["proj_bias"])
    except (KeyError, IndexError) as error:
        raise InputError(f"these weights are not ELF's: they lack or misshape {error}") from None
    if config.get("pd_step_size"):
        sizes["student_guidance"] = STUDENT_GUIDANCE
    try:
        return ElfOptions(**{ours: config[theirs] for ours, theirs in NAMES.items()}, **sizes)
    except ValidationError as error:
        raise InputError(f"{where}: {mistakes(error, NAMES)}") from None


def read_encoder(folder: Path, name: str | None, options: ElfOptions, width: int) -> Encoder:
    """Load T5's tokenizer and encoder from where they were said to lie, the folder, or the hub.

    Args:
        width: of the states, where there is no encoder to tell it.

    Raises:
        InputError: they are not there; the encoder may be missing where there is no condition.
    """
    beside = (folder / TOKENIZER).is_file()
    place = name or (str(folder) if beside else T5)
    try:
        vocabulary = load_vocabulary(place)
    except InputError as error:
        raise InputError(f"{error}; say where T5-small lies with --tokenizer PATH") from None
    try:
        return Encoder(vocabulary, *load_encoder(place))
    except InputError as error:
        if options.conditional:
            raise InputError(f"{error}; a model with a condition needs T5's encoder") from None
    return Encoder(vocabulary, T5Sizes(d_model=width), None)
