"""Files and folders that are whole or as they were, whenever a process is killed or a disk is full."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlmone.core.errors import DlmoneError

#: Beside folder NAME, while process 123 writes it: ``.NAME-staging-123`` and ``.NAME-old-123``.
_STAGING, _OLD = "-staging-", "-old-"


def reason_of(error: Exception) -> str:
    """Say why a file could not be read or written: the system's words, as "Permission denied"."""
    # Of each file that `shutil` could not copy: both names, and the reason.
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, in a folder that is made if need be. One that was there stays until the new one is whole.

    Raises:
        OSError: it cannot be written; the error names ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))  # a link stays, and what it points at is written
    staging = target.with_name(f".{target.name[:100]}{_STAGING}{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # a device or a pipe has nothing to lose; a folder refuses
            path.write_bytes(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(target)
    except OSError as error:  # a failed write names no file, and a failed rename the other one
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            staging.unlink(missing_ok=True)


@contextmanager
def written_folder(target: Path, what: str) -> Iterator[Path]:
    """An `atomic_folder` whose failure says what could not be written.

    Raises:
        DlmoneError: the folder cannot be written; one that was there is as it was.
    """
    from safetensors import SafetensorError  # which light commands do without

    try:
        with atomic_folder(target) as folder:
            yield folder
    except (OSError, SafetensorError) as error:
        raise DlmoneError(f"{target}: {what} cannot be written ({reason_of(error)})") from error


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """``with atomic_folder(target) as folder``: what is put into ``folder`` becomes ``target`` at the end.

    It is on the disk before it is renamed into place. A folder that is there is replaced, or stays as it was
    if anything fails. A kill at any moment leaves one whole folder to `whole_folder`, and stale temporary
    folders, removed on the next call. Only one process may write the same target at a time.

    Raises:
        OSError: the folder cannot be written.
    """
    staging = target.with_name(f".{target.name}{_STAGING}{os.getpid()}")
    _remove(target, _STAGING)
    try:
        try:
            staging.mkdir(parents=True)
        except OSError as error:  # which names the folder beside it
            raise OSError(error.errno, error.strerror, str(target)) from error
        yield staging
        for path in staging.rglob("*"):
            if path.is_file():
                _sync(path)
        if target.exists():
            _remove(target, _OLD)
            target.rename(target.with_name(f".{target.name}{_OLD}{os.getpid()}"))
        staging.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _remove(target, _OLD)


def whole_folder(target: Path) -> Path:
    """Return the folder or, where a kill came between the two renames of a replacement, the old one."""
    old = _beside(target, _OLD)
    return old[0] if old and not target.exists() else target


def _beside(target: Path, kind: str) -> list[Path]:
    """Return what processes that write ``target`` have, or had when they were killed, beside it."""
    prefix = f".{target.name}{kind}"
    return [
        path
        for path in target.parent.glob(".*")
        if path.name.startswith(prefix) and path.name.removeprefix(prefix).isdigit()
    ]


def _remove(target: Path, kind: str) -> None:
    for path in _beside(target, kind):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
