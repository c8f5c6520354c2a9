"""Find a published model: a folder, an installed Python package, or a repository of the Hugging Face hub."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dlmone.core import InputError
from dlmone.registry.explain import nearest_path

from .hub import is_offline

PACKAGE = "package:"


def model_folder(name: str, files: Sequence[str], where: str = "") -> Path:
    """Return the folder that holds a model's files.

    Args:
        name: a folder, ``package:NAME`` for the one model folder inside an installed Python package, or
            a repository of the hub.
        files: the files to fetch from the hub.
        where: the option that names it, for errors.

    Raises:
        InputError: there is no such folder, package or repository.
    """
    where = f"{where}: " if where else ""
    if name.startswith(PACKAGE):
        return package_folder(name.removeprefix(PACKAGE), where)
    if Path(name).is_dir():
        return Path(name)
    offline = False
    try:
        from huggingface_hub import snapshot_download

        offline = is_offline()
        return Path(snapshot_download(name, allow_patterns=list(files), local_files_only=offline))
    except ImportError:
        reason = "fetching one from the hub takes dlmone[hub]"
    except (OSError, ValueError) as error:
        reason = f"the hub has not given it ({type(error).__name__})"
        if offline:
            reason = "it is not cached, and the Hugging Face hub cannot be reached"
    raise InputError(f"{where}there is no model folder {name!r}, and {reason}{nearest_path(name)}")


def package_folder(package: str, where: str = "") -> Path:
    """Return the one folder with BERT's ``config.json`` and weights in an installed package."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a package inside one that is not there, or no name at all
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{where}there is no installed Python package {package!r} to take a model from")
    found = [
        config.parent
        for location in spec.submodule_search_locations
        for config in sorted(Path(location).rglob("config.json"))
        if (config.parent / "model.safetensors").is_file()
    ]
    if len(found) != 1:
        raise InputError(
            f"{where}package {package!r} holds {len(found)} model folders (config.json, model.safetensors), "
            "not one"
        )
    return found[0]


def read_object(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file.

    Raises:
        InputError: the file holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content
