"""Official LangFlow checkpoints: a folder, or a repository of the Hugging Face hub, read strictly.

Tensors and JSON only: the code that lies beside them (``trust_remote_code``) is neither fetched nor run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import Conversion, InputError
from dlmone.plugins.bert.files import TOKENIZER_FILES, load_backend
from dlmone.plugins.bert.folders import model_folder, read_object
from dlmone.plugins.bert.weights import check_tensors
from dlmone.registry.explain import mistakes
from dlmone.registry.filetype import mistaken

from .network.transformer import PERIOD
from .options import LangFlowOptions
from .teacher import LangFlowTeacher
from .text import Vocabulary

CONFIG, WEIGHTS = "config.json", "model.safetensors"
#: A buffer that holds what `rotate` computes; it is checked and left.
FREQUENCIES = "backbone.rotary_emb.inv_freq"
TABLE = "backbone.vocab_embed.embedding"
#: Options by their official names.
NAMES = {
    "length": "model_length",
    "width": "hidden_size",
    "condition": "cond_dim",
    "layers": "n_blocks",
    "heads": "n_heads",
    "dropout": "dropout",
    "bayes": "use_bias",
    "normalised": "use_normalized_embedding",
    "self_conditioning": "self_conditioning",
    "cutoff": "gumbel_cutoff",
}


def convert(source: Path, tokenizer: str | None = None) -> Conversion:
    """Read an official checkpoint.

    The schedule's location, scale and entropy are the state dict's; the config's are where training began.

    Args:
        source: a folder with ``config.json`` and ``model.safetensors``, or the name of one on the hub.
        tokenizer: where the tokenizer lies (a folder, ``package:NAME``, a name of the hub) if not in the
            folder; the released folders hold none.

    Raises:
        InputError: a file is missing or malformed, or names or shapes of tensors do not fit the config.
    """
    folder = model_folder(str(source), (CONFIG, WEIGHTS, *TOKENIZER_FILES, "tokenizer_config.json"))
    config, official = read_config(folder), read_weights(folder / WEIGHTS)
    options = options_of(folder / CONFIG, config)
    vocabulary = read_vocabulary(folder, tokenizer)
    if vocabulary.size != config["vocab_size"]:
        raise InputError(
            f"{folder / CONFIG}: vocab_size is {config['vocab_size']}, "
            f"but the tokenizer has {vocabulary.size} tokens"
        )
    teacher = LangFlowTeacher(options, vocabulary)
    load_official(teacher, official, folder / WEIGHTS)
    proposal, schedule = teacher.space.proposal, teacher.space.schedule
    ends = torch.tensor([schedule.min_time, schedule.max_time], dtype=torch.float64)
    least, most = schedule.gamma(ends).tolist()
    report = (
        f"weights: {sum(value.numel() for value in to_official(teacher).values()):,} numbers",
        f"transformer: {options.layers} blocks of width {options.width}, {options.heads} heads",
        f"schedule: loc {float(proposal.loc):.4g}, scale {float(proposal.scale):.4g}, "
        f"entropy {float(proposal.entropy):.4g} from the weights; γ from {least:.4g} to {most:.4g}",
        f"tokenizer: {vocabulary.size} tokens",
    )
    return Conversion(teacher, report)


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json``.

    Raises:
        InputError: there is none, or it is of another model.
    """
    path = folder / CONFIG
    try:
        config = read_object(path)
    except FileNotFoundError:
        raise InputError(f"{folder} is no LangFlow checkpoint folder: it holds no {CONFIG}") from None
    if config.get("model_type") != "LangFlow":
        raise InputError(f"{path}: model_type is {config.get('model_type')!r} and not 'LangFlow'")
    if absent := [name for name in ("vocab_size", *NAMES.values()) if name not in config]:
        raise InputError(f"{path} lacks {', '.join(absent)}")
    return config


def options_of(path: Path, config: Mapping[str, Any]) -> LangFlowOptions:
    """Return the options that an official configuration stands for.

    Raises:
        InputError: a value is not one that this plugin implements.
    """
    try:
        return LangFlowOptions(**{ours: config[theirs] for ours, theirs in NAMES.items()}, bayes_ramp=0)
    except ValidationError as error:
        raise InputError(f"{path}: {mistakes(error, NAMES)}") from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path.parent} is no LangFlow checkpoint folder: it holds no {path.name}")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} {mistaken(path) or f'cannot be read ({error})'}") from None


def read_vocabulary(folder: Path, name: str | None) -> Vocabulary:
    """Load the tokenizer that was named, or else the one that lies with the weights.

    Raises:
        InputError: there is neither.
    """
    if name is None and not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise InputError(
            f"{folder} holds no {' or '.join(TOKENIZER_FILES)}: say where the tokenizer lies with "
            "--tokenizer PATH (that of langflow-lm1b is bert-base-uncased, that of langflow-owt gpt2)"
        )
    path, backend = load_backend(str(folder) if name is None else name)
    try:
        return Vocabulary(backend)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def official_name(key: str) -> str:
    """Return the official name of a tensor of the teacher's state dict."""
    if key == "space.embedding":
        return TABLE
    if key.startswith("space."):
        return key.removeprefix("space.")
    return key.replace("network.", "backbone.", 1)


def to_official(teacher: LangFlowTeacher) -> dict[str, Tensor]:
    """Return the weights under their official names, with the frequencies of the rotary embedding."""
    width = teacher.options.width // teacher.options.heads
    steps = torch.arange(0, width, 2, dtype=torch.float32) / width
    own = {official_name(key): value for key, value in teacher.state_dict().items()}
    return {**own, FREQUENCIES: PERIOD**-steps}


def load_official(teacher: LangFlowTeacher, official: Mapping[str, Tensor], path: Path) -> None:
    """Load an official state dict into an unconditional teacher.

    Raises:
        InputError: tensors are missing, unexpected, of another shape, or rotate by other frequencies.
    """
    expected = to_official(teacher)
    try:
        check_tensors(official, expected)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not torch.allclose(official[FREQUENCIES].float(), expected[FREQUENCIES], rtol=1e-5, atol=0):
        raise InputError(f"{path}: {FREQUENCIES} are not 10000^(−2j/d), which this plugin rotates by")
    teacher.load_state_dict({key: official[official_name(key)] for key in teacher.state_dict()})
