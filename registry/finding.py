"""Where plugins come from: the entry points of installed distributions, and single files."""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from dlmone.core.errors import InputError

from .plugin import Plugin

GROUP = "dlmone"


def found(files: Sequence[Path]) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    """Yield every installed plugin and every file, each with the function that imports it.

    Raises:
        InputError: a file does not exist.
    """
    for point in sorted(entry_points(group=GROUP), key=_origin):
        yield Plugin(point.name, *_origin(point)[:2], target=point.value), point.load
    for path in {file.resolve(): file for file in files}.values():
        if not path.is_file():
            raise InputError(f"{path}: there is no such plugin file")
        yield _plugin_of_file(path)


def _origin(point: EntryPoint) -> tuple[str, str, str]:
    dist = point.dist
    return (dist.name, dist.version, point.name) if dist else ("unknown", "", point.name)


def _plugin_of_file(path: Path) -> tuple[Plugin, Callable[[], object]]:
    version = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    plugin = Plugin(path.stem, str(path), version, target=str(path), is_file=True)
    return plugin, lambda: _import_file(path)


def _import_file(path: Path) -> object:
    """Import a file under a module name of its own, by which its targets can say f"{__name__}:Class"."""
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = re.sub(r"\W", "_", f"dlmone_file_{path.stem}_{place}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
