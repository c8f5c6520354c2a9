"""Tell states of a plugin apart whose package is installed in place and edited under one version."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

#: The distribution of the tool itself.
OWN = "dlmone"


def source_mark(point: EntryPoint) -> str:
    """Return what is added to a plugin's version: ``+sha256:…``; nothing unless it is installed in place.

    dlmone's own plugins have no mark: a version says what they are.
    """
    dist = point.dist
    if dist is None or dist.name == OWN or not _in_place(dist):
        return ""
    digest = hashlib.sha256()
    try:
        for name, file in source_files(point.module):
            content = file.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
    except (OSError, ValueError, ImportError):  # what is wrong with it, importing it will say
        return "+edited"
    return f"+sha256:{digest.hexdigest()[:12]}"


def source_files(module: str) -> Iterator[tuple[str, Path]]:
    """Yield the Python files of the first package on the way to a module that is a package of its own.

    Parts of a namespace package belong to several distributions, and only one of them is meant.
    """
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.util.find_spec(".".join(parts[:depth]))
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent
            files = folder.rglob("*.py") if spec.submodule_search_locations else [Path(spec.origin)]
            yield from sorted((str(file.relative_to(folder)), file) for file in files if file.is_file())
            return


def _in_place(dist: Distribution) -> bool:
    """Tell whether a distribution is installed as editable (PEP 610)."""
    try:
        told = json.loads(dist.read_text("direct_url.json") or "{}")
        return bool(told.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False
