"""The configuration of a model folder: read, checked, and compared with the copy in its weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open

from dlmone.core import InputError, Spacing
from dlmone.core.errors import MissingError
from dlmone.registry.explain import Loc, dotted, nearest_path, value_at
from dlmone.registry.fields.bounds import MOST_CALLS
from dlmone.runtime.files import whole_folder
from dlmone.runtime.parsing import parse_json

FORMAT = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration of a model folder.

    Raises:
        InputError: there is none, it is broken, or this version cannot read it.
    """
    folder = whole_folder(folder)
    if not folder.is_dir():
        if folder.exists():
            raise InputError(f"{folder}: a file, where a model folder was expected")
        raise MissingError(f"{folder}: there is no such model folder{nearest_path(str(folder))}")
    path = folder / CONFIG
    try:
        config = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a dlmone model folder, it has no {CONFIG}; if it is another tool's checkpoint, "
            "turn it into one with dlmone convert (dlmone plugins lists the converters)"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(config).__name__}")
    if config.get("dlmone") != FORMAT:
        raise InputError(
            f'{path}: expected "dlmone": {FORMAT}, found {config.get("dlmone")!r}; '
            "the folder was not written by this version of dlmone"
        )
    if wrong := [key for key, right in _keys(config).items() if not right]:
        raise InputError(f"{path}: missing or malformed: {', '.join(wrong)}")
    return config


def _keys(config: dict[str, Any]) -> dict[str, bool]:
    """Return the keys that a configuration needs, and whether each is there and of its type."""
    keys = {
        "role": config.get("role") in ("teacher", "student"),
        "teacher": isinstance(config.get("teacher"), str),
        "config": isinstance(config.get("config"), dict),
        "files": isinstance(config.get("files", {}), dict),
    }
    if config.get("role") == "student":
        facts = config["student"] if isinstance(config.get("student"), dict) else {}
        t_init, calls = facts.get("t_init"), facts.get("calls", 1)
        keys["student.t_init"] = (
            isinstance(t_init, int | float) and not isinstance(t_init, bool) and math.isfinite(t_init)
        )
        keys["student.calls"] = type(calls) is int and 0 < calls <= MOST_CALLS
        keys["student.unit_input"] = isinstance(facts.get("unit_input"), bool)
        keys["student.spacing"] = _is_spacing(facts.get("spacing", "time"))
        keys["student.size"] = isinstance(facts.get("size", {}), dict)
    return keys


def _is_spacing(value: Any) -> bool:
    measure, _ = get_args(Spacing)
    if isinstance(value, list):
        return all(type(time) in (int, float) and math.isfinite(time) for time in value)
    return isinstance(value, str) and value in get_args(measure)


def fingerprint(folder: Path) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of a model's weights file.

    The file repeats the configuration, with hashes of the other files, so models with equal fingerprints
    generate alike. Where another tool wrote the weights without it, ``config.json`` itself counts too.

    Raises:
        InputError: there are no weights.
    """
    weights = whole_folder(folder) / WEIGHTS
    try:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise InputError(f"{weights}: the weights cannot be read ({error.strerror})") from None
    with suppress(SafetensorError), safe_open(weights, framework="pt") as tensors:
        if "config" not in (tensors.metadata() or {}):
            digest.update(json.dumps(read_config(folder), sort_keys=True).encode())
    return digest.hexdigest()[:12]


def check_copy(folder: Path, metadata: Mapping[str, str]) -> None:
    """Raise InputError if a folder's configuration is not the one that its weights were written with."""
    if "config" not in metadata:
        return
    try:
        written = parse_json(metadata["config"])
        if not isinstance(written, dict):
            raise ValueError(f"expected a JSON object, found {type(written).__name__}")
    except ValueError as error:
        raise InputError(f"{folder / WEIGHTS}: its copy of the configuration is damaged ({error})") from None
    there = read_config(folder)
    if key := _first_difference(written, there):
        old, new = (json.dumps(value_at(table, key)) for table in (written, there))
        raise InputError(
            f"{folder / CONFIG}: {dotted(key)} is {new}, and {old} in the copy that {WEIGHTS} was written "
            "with; a model's configuration cannot be edited"
        )


def _first_difference(one: Any, other: Any, loc: Loc = ()) -> Loc:
    """Return the key path of the first difference between two JSON values; () if they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                return (*loc, key)
            if found := _first_difference(one[key], other[key], (*loc, key)):
                return found
        return ()
    return () if one == other and type(one) is type(other) else loc
