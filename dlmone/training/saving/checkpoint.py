"""Save and load checkpoints atomically: written to a temporary folder and hashed, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import DlmoneError, InputError
from dlmone.runtime.distributed import World
from dlmone.runtime.files import atomic_folder, reason_of
from dlmone.runtime.parsing import parse_json
from dlmone.runtime.tensors import save_tensors

_TENSORS = "state.safetensors"
_MANIFEST = "manifest.json"
#: Format version. Increase it when tensors or facts are renamed: older checkpoints are then refused by name.
_FORMAT = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training state: named tensors, JSON facts and the step they belong to."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write ``folder/step-NNNNNN`` and delete all but the ``keep`` newest.

    The new checkpoint gets its name only once all of it is on disk. A process killed at any moment
    therefore leaves the earlier checkpoints intact.

    Raises:
        DlmoneError: the checkpoint could not be saved; the message names the last good one.
    """
    final = _folder(folder, checkpoint.step)
    for stale in folder.glob(".step-*"):  # left by a process that was killed while saving
        shutil.rmtree(stale, ignore_errors=True)
    try:
        with atomic_folder(final) as staging, ThreadPoolExecutor(1, "hash") as pool:
            digest = pool.submit(_digest, checkpoint)  # while they are written
            save_tensors(checkpoint.tensors, staging / _TENSORS)
            manifest = {
                "format": _FORMAT,
                "step": checkpoint.step,
                "facts": checkpoint.facts,
                "blake2b": digest.result(),
            }
            (staging / _MANIFEST).write_text(json.dumps(manifest, indent=1))
    except (OSError, SafetensorError) as error:
        last = next(iter(step_folders(folder)[::-1]), None)
        kept = f"the last good checkpoint is {last}" if last else "no checkpoint has been written yet"
        raise DlmoneError(
            f"{folder}: the checkpoint could not be written ({reason_of(error)}); {kept}"
        ) from error
    for old in step_folders(folder)[:-keep]:
        shutil.rmtree(old)
    return final


#: What reading an incomplete or altered checkpoint raises.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, SafetensorError)


def load_latest(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint of a folder. Incomplete or altered ones are skipped with a warning.

    Raises:
        InputError: the checkpoint is in the format of another version of dlmone.
    """
    for path in reversed(step_folders(folder)):
        try:
            return _load(path)
        except _UNREADABLE as error:
            warnings.warn(f"{path}: skipped an incomplete or altered checkpoint ({error})", stacklevel=2)
    return None


def load_agreed(folder: Path, world: World) -> Checkpoint | None:
    """Return what `load_latest` returns on the main process, on every process.

    Raises:
        InputError: as `load_latest`, or this process can't read what the main one resumes from.
    """
    latest = load_latest(folder) if world.main else None
    step = world.agree(latest.step if latest else None)
    if world.main or step is None:
        return latest
    path = _folder(folder, step)
    try:
        return _load(path)
    except _UNREADABLE as error:
        raise InputError(
            f"{path}: process {world.rank} can't read the checkpoint that the first one resumes from "
            f"({error}); all machines need the same file system"
        ) from error


def _load(path: Path) -> Checkpoint:
    manifest = parse_json((path / _MANIFEST).read_bytes())
    if not isinstance(manifest, dict):
        raise ValueError("its manifest is no JSON object")
    if manifest.get("format") != _FORMAT:
        raise InputError(
            f"{path}: this checkpoint was written by another version of dlmone, which alone can "
            "continue it; without --resume a new run starts"
        )
    checkpoint = Checkpoint(manifest["step"], load_file(path / _TENSORS), manifest["facts"])
    if _digest(checkpoint) != manifest["blake2b"]:
        raise ValueError("its hash does not match its manifest")
    if path.name != _folder(path.parent, checkpoint.step).name:
        raise ValueError(f"it is that of step {checkpoint.step}")
    return checkpoint


@contextmanager
def fitting(owner: str) -> Iterator[None]:
    """Load tensors of a checkpoint into networks, and say so where they are of another shape.

    Raises:
        InputError: they are; the sentence begins with ``owner``.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{owner}: the checkpoint belongs to a network of another shape ({reason})"
        ) from None


def step_folders(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def pack(**parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join named groups of tensors into one flat mapping, ``GROUP/NAME``."""
    return {f"{group}/{name}": tensor for group, named in parts.items() for name, tensor in named.items()}


def unpack(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """Return one group of a mapping made by `pack`."""
    return {key[len(group) + 1 :]: value for key, value in tensors.items() if key.startswith(group + "/")}


def _folder(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}"


def _digest(checkpoint: Checkpoint) -> str:
    """Hash the step, the facts, and the names, dtypes, shapes and bytes of the tensors."""
    digest = hashlib.blake2b(json.dumps([checkpoint.step, checkpoint.facts], sort_keys=True).encode())
    for name, tensor in sorted(checkpoint.tensors.items()):
        block = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {block.dtype} {list(block.shape)}\n".encode())
        digest.update(block.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
