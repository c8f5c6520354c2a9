"""Resolve a path, a run directory or an installed model's name to a model folder."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dlmone.core import InputError
from dlmone.core.errors import MissingError
from dlmone.registry import Registry
from dlmone.registry.explain import nearest, shortened
from dlmone.registry.paths import trouble


def model_folder(path: str | PathLike[str], registry: Registry) -> Path:
    """Return the model folder that is meant; for a run directory, its student's.

    A path that exists has precedence over an installed model of that name.

    Raises:
        InputError: nothing lies there and no plugin has a model of that name, or the run has no student yet.
        PluginError: the plugin that brings the model is broken.
    """
    if wrong := trouble(str(path)):
        raise InputError(f"{shortened(str(path))}: {wrong}")
    folder = Path(path).expanduser()
    if (folder / "recipe.toml").is_file():
        if not (folder / "student").is_dir():
            raise InputError(f"{folder}: this run has no student yet")
        return folder / "student"
    name, known = str(path), registry.names("models")
    if folder.exists() or folder.name != name:
        return folder
    if name not in known:
        raise MissingError(f"{name}: there is no such model folder or installed model{nearest(name, known)}")
    found: Path = registry.load("models", name)()
    return found
