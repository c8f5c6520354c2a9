"""Folders that are whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """``with atomic_folder(target) as folder``: what is put into ``folder`` appears at the end, at once.

    ``folder`` is not there yet; one left by a process that was killed is removed. Only one process may
    write the same target.
    """
    staging = target.with_name(f".{target.name}-part")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
