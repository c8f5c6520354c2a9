"""Manage the run directory: its lock, manifest and metrics log."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from dlmone.core import DlmoneError, InputError
from dlmone.models.configuration import fingerprint, read_config
from dlmone.models.hub import pinned
from dlmone.registry import Registry, ResolvedRecipe, load_recipe
from dlmone.registry.explain import nearest_path
from dlmone.runtime.files import write_whole
from dlmone.runtime.parsing import parse_json

#: What may change when a run is resumed: its description, its device, its evaluation, what follows it.
FREE = ("name", "description", "note", "compute.", "evaluation.", "trackers")
MANIFEST = "manifest.json"
LIBRARIES = ("dlmone", "torch", "numpy", "tokenizers", "safetensors", "pluggy", "pydantic", "nltk")


class RunDirectory:
    """The folder of one run.

    ``recipe.toml`` (resolved), ``manifest.json``, ``metrics.jsonl``, a folder for each stage with
    ``checkpoints/`` and ``best/``, ``teacher/``, ``student/``, ``samples/``, ``report/``.
    """

    def __init__(self, path: Path, *, main: bool = True) -> None:
        self.path = path
        self.main = main
        self._lock = FileLock(path / ".lock")
        self._made: list[Path] = []

    def open(self) -> None:
        """Create the folder and lock it for this process.

        Raises:
            InputError: another process uses the folder, or it cannot be created.
        """
        if not self.main:
            return
        try:
            self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{self.path}: this run directory is in use by another process") from None
        except OSError as error:
            raise InputError(f"{self.path}: cannot be used as a run directory ({error.strerror})") from None

    def close(self) -> None:
        """Release the lock. Folders that `open` made go again if nothing was written to them."""
        if not self.main:
            return
        if self._made and [file.name for file in self.path.iterdir()] == [".lock"]:
            (self.path / ".lock").unlink()
        self._lock.release()
        with suppress(OSError):  # the first that holds something stays, and so do those above it
            for folder in self._made:
                folder.rmdir()

    def check_models(self, models: Mapping[str, Path]) -> dict[str, dict[str, str]]:
        """Return paths (or hub addresses) and hashes of the saved models that a run begins from.

        Args:
            models: model folders by the recipe's keys.

        Raises:
            InputError: one is not the model that this run began from, or can't be read.
        """
        for path in models.values():
            read_config(path)  # what is no model folder is refused as such
        found = {
            key: {"path": pinned(path) or str(path), "sha256": fingerprint(path)}
            for key, path in models.items()
        }
        for key, model in found.items():
            self._require_same(key, model)
        # A model that the run made and that is gone is remembered: another may not take its place.
        return {**self._models(), **found}

    def note_model(self, key: str, folder: Path) -> None:
        """Add a model that the run has made to its manifest, for `check_models` to find when it resumes.

        Raises:
            InputError: the run has had another one.
        """
        model = {"path": folder.name, "sha256": fingerprint(folder)}
        self._require_same(key, model)
        manifest = {**self._manifest(), "models": {**self._models(), key: model}}
        write_whole(self.path / MANIFEST, json.dumps(manifest, indent=1))

    def _models(self) -> dict[str, dict[str, str]]:
        """Return the models in the manifest; none of an older run's, or where it was touched."""
        found = self._manifest().get("models")
        known = found if isinstance(found, dict) else {}
        return {key: one for key, one in known.items() if isinstance(one, dict) and "sha256" in one}

    def _require_same(self, key: str, model: Mapping[str, str]) -> None:
        before = self._models().get(key, model)["sha256"]
        if before != model["sha256"]:
            raise InputError(
                f"{key}: {model['path']} is not the model that this run began from (its hash was {before} "
                f"and is {model['sha256']}); without --resume a new run starts"
            )

    def changed_plugins(self, plugins: Sequence[Mapping[str, str]]) -> list[str]:
        """Return a sentence on each package whose plugins are others now than when this run went on last."""
        try:
            before = {(one["distribution"], one["version"]) for one in self._manifest()["plugins"]}
        except (TypeError, KeyError):
            return []
        names = {one["distribution"] for one in plugins} & {name for name, _ in before}
        now = {(one["distribution"], one["version"]) for one in plugins if one["distribution"] in names}
        return [
            f"the plugins of {name} are of version {version} now, which this run has not had so far: what "
            "follows may differ from a run that was not stopped"
            for name, version in sorted(now - before)
        ]

    def _manifest(self) -> dict[str, Any]:
        """Return what the manifest says; nothing where there is none, or none that can be read."""
        path = self.path / MANIFEST
        try:
            found = parse_json(path.read_bytes()) if path.exists() else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def write_manifest(
        self, command: Sequence[str], seed: int, compute: str, plugins: Any, models: Any
    ) -> None:
        """Write the run's provenance: versions, plugins, seed, hardware, command, models it begins from."""
        if not self.main:
            return
        manifest = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": list(command),
            "seed": seed,
            "compute": compute,
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "python": sys.version.split()[0],
            "libraries": {name: version(name) for name in LIBRARIES},
            "cuda": torch.version.cuda,
            "plugins": plugins,
            "models": models,
        }
        write_whole(self.path / MANIFEST, json.dumps(manifest, indent=1))

    def log(self, stage: str, step: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Append one object to ``metrics.jsonl`` and return it."""
        entry = {"stage": stage, "step": step, **values}
        path = self.path / "metrics.jsonl"
        if self.main:
            with _writing(path), path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        return entry

    def validations(self, stage: str, name: str) -> list[float]:
        """Return a stage's logged values of a validation score, in order; none if there is no log yet."""
        path = self.path / "metrics.jsonl"
        found = []
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            with suppress(ValueError, TypeError, KeyError):  # what is no such entry
                entry = parse_json(line)
                if (entry["stage"], entry["kind"]) == (stage, "validation"):
                    found.append(float(entry[name]))
        return found

    def rewind(self, stage: str, step: int) -> None:
        """Drop log entries later than the checkpoint that the run resumes from.

        Removes entries of ``stage`` after ``step`` and an incomplete last line. Other stages' entries stay,
        and so does what is no entry.
        """
        path = self.path / "metrics.jsonl"
        if not self.main or not path.exists():
            return
        with _writing(path):
            *lines, _ = path.read_bytes().split(b"\n")
            kept = [line + b"\n" for line in lines if not _later(line, stage, step)]
            write_whole(path, b"".join(kept))


def _later(line: bytes, stage: str, step: int) -> bool:
    """Tell whether a line of the log is an entry of ``stage`` after ``step``."""
    try:
        entry = parse_json(line)
        return bool(entry["stage"] == stage and entry["step"] > step)
    except (ValueError, TypeError, KeyError):
        return False


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a failed write does not name its file
        raise DlmoneError(
            f"{path}: cannot be written ({error.strerror}); --resume continues the run once it can"
        ) from error


def new_run_path(root: Path, name: str, profile: str | None) -> Path:
    """Return a fresh ``root/NAME-PROFILE-N``."""
    stem = f"{name}-{profile}" if profile else name
    number = 1
    while (root / f"{stem}-{number}").exists():
        number += 1
    return root / f"{stem}-{number}"


def latest_run_path(root: Path, name: str, profile: str | None) -> Path:
    """Return the newest run directory of a recipe and profile.

    Raises:
        InputError: there is no such run.
    """
    stem = f"{name}-{profile}" if profile else name
    found = root.iterdir() if root.is_dir() else ()
    runs = [path for path in found if re.fullmatch(rf"{re.escape(stem)}-[0-9]+", path.name)]
    if not runs:
        raise InputError(f"{root}: holds no run of {stem} to resume")
    return max(runs, key=lambda path: int(path.name[len(stem) + 1 :]))


def changed(
    path: Path, registry: Registry, resolved: ResolvedRecipe, free: tuple[str, ...] = ()
) -> str | None:
    """Say how the run in a directory differs from a recipe in what may not change when it is resumed.

    Args:
        path: the run directory.
        registry: the plugins that its recipe can name.
        resolved: the recipe with which it is to be resumed.
        free: beginnings of keys that may change besides `FREE`.

    Returns:
        The first key that differs with its two values; None if none does.

    Raises:
        InputError: there is no run, or another version began it.
    """
    stored = path / "recipe.toml"
    if not stored.is_file():
        hint = nearest_path(str(path))
        raise InputError(f"{path}: there is no run here to resume (no recipe.toml){hint}")
    try:
        before = dict(_values(load_recipe(stored, registry=registry).table))
    except InputError as error:
        reason = str(error).splitlines()[0].removeprefix(f"{stored}: ")
        raise InputError(
            f"{path}: its recipe cannot be read here, so it was begun with another version of dlmone and can "
            f"only be continued with that one ({reason})"
        ) from error
    now = dict(_values(resolved.table))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    keys = [key for key in differ if not key.startswith((*FREE, *free))]
    if not keys:
        return None
    key = keys[0]
    more = f" ({len(keys) - 1} more differ)" if len(keys) > 1 else ""
    return f"{key} = {before.get(key)!r}, and now it is {now.get(key)!r}{more}"


def _values(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a table with their values."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
