"""Resolve a path, a run directory, an installed model's name or a hub address to a model folder."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dlmone.core import InputError
from dlmone.core.errors import MissingError
from dlmone.registry import Registry
from dlmone.registry.explain import nearest_path, shortened
from dlmone.registry.fields.paths import trouble
from dlmone.runtime.files import whole_folder

from .hub import PREFIX, fetch, parse


def model_folder(path: str | PathLike[str], registry: Registry) -> Path:
    """Return the model folder that is meant; for a run directory, its student's.

    A path that exists has precedence over an installed model of that name. ``hub:OWNER/NAME[@REVISION]`` is
    fetched from the Hugging Face hub.

    Raises:
        InputError: nothing lies there and no plugin has a model of that name, the run has no student yet, or
            the hub does not give the model.
        PluginError: the plugin that brings the model is broken.
    """
    if not str(path):
        raise InputError("expected a model folder or a model's name, and not an empty text")
    if str(path).startswith(PREFIX):
        return fetch(parse(str(path)))
    if wrong := trouble(str(path)):
        raise InputError(f"{shortened(str(path))}: {wrong}")
    folder = Path(path).expanduser()
    if (folder / "recipe.toml").is_file():
        if not whole_folder(folder / "student").is_dir():
            raise InputError(f"{folder}: this run has no student yet")
        return folder / "student"
    name, known = str(path), registry.names("models")
    if folder.exists() or folder.name != name:
        return folder
    if name not in known:
        raise MissingError(
            f"{name}: there is no such model folder or installed model{nearest_path(name, known)}"
        )
    found: Path = registry.load("models", name)()
    return found
