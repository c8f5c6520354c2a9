"""Discover installed plugins and plugin files, and register the names they offer.

A plugin that fails is kept with its reason, which is shown only when a name is missing.
"""

import hashlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Self

import pluggy

from dlmone.core.errors import InputError, PluginError

from . import hooks
from .catalogue import KINDS, REGISTER, Catalogue, noun
from .explain import nearest, nearest_path
from .hooks import Register
from .origin import FILE_MODULE
from .plugin import Entry, Plugin, one_line
from .source import source_mark

#: The entry-point group of plugins.
GROUP = "dlmone"
#: Kinds under names that the field has for them too.
SYNONYMS = {
    "metrics": "evaluators",
    "datasets": "data",
    "losses": "objectives",
    "schedulers": "samplers",
}
_log = logging.getLogger(__name__)


class Registry(Catalogue):
    """The plugins of this process; they are discovered, registered, and notified of a run's events."""

    def __init__(self) -> None:
        super().__init__()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hooks)
        self._warned: set[str] = set()

    @classmethod
    def discover(cls, files: Sequence[Path] = ()) -> Self:
        """Return a registry of all installed plugins and of one-file plugins.

        Raises:
            InputError: one of ``files`` does not exist.
        """
        registry = cls()
        for plugin, load in found(files):
            registry.add(plugin, load)
        for plugin in registry.plugins:
            _log.info("plugin %s %s%s", plugin, plugin.version, f": {plugin.reason}" if plugin.reason else "")
        return registry

    def add(self, plugin: Plugin, load: Callable[[], object]) -> None:
        """Import a plugin and register all of its names, or none if anything fails."""
        try:
            module = load()
            self._join(plugin, module)
            entries = self._offered(plugin, module)
        except KeyboardInterrupt:
            raise
        # A module that calls sys.exit(), or raises what is no Exception, must not end the tool either.
        except BaseException as error:
            if self._manager.has_plugin(str(plugin)):
                self._manager.unregister(name=str(plugin))
            self._plugins.append(plugin.broken_by(error))
            return
        self._plugins.append(plugin)
        for entry in entries:
            self._claims[entry.kind].setdefault(entry.name, []).append(entry)

    def _join(self, plugin: Plugin, module: object) -> None:
        if self._manager.is_registered(module):
            raise PluginError(f"{plugin.target} is registered already, as {self._manager.get_name(module)}")
        self._manager.register(module, name=str(plugin))
        callers = self._manager.get_hookcallers(module) or []
        if not callers:
            raise PluginError(f"{plugin.target} has no function marked @hookimpl")
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            known = [name for name, caller in vars(self._manager.hook).items() if caller.has_spec()]
            unknown = next(caller.name for caller in callers if not caller.has_spec())
            meant = SYNONYMS.get(unknown.removeprefix(REGISTER))
            instead = f"; did you mean {REGISTER + meant!r}?" if meant else nearest(unknown, known)
            raise PluginError(f"there is no hook {unknown!r}{instead}") from error

    def _offered(self, plugin: Plugin, module: object) -> list[Entry]:
        entries: list[Entry] = []
        others = self._manager.get_plugins() - {module}
        for kind in KINDS:
            register = _offering(entries, plugin, kind)
            self._manager.subset_hook_caller(REGISTER + kind, others)(register=register)
        return entries

    def require_files(self) -> None:
        """Raise if a plugin given as a file is broken, as the user requested it explicitly.

        Raises:
            PluginError: a one-file plugin is broken.
        """
        for plugin in self.broken:
            if plugin.is_file:
                raise PluginError(f"the plugin file {plugin.target} is broken: {plugin.reason}")

    @contextmanager
    def listening(self, listener: object, name: str) -> Iterator[None]:
        """Notify an object, too, of a run's events while the context lasts.

        Args:
            listener: its methods marked ``@hookimpl`` are called.
            name: what a warning calls it.
        """
        self._manager.register(listener, name=name)
        try:
            yield
        finally:
            self._manager.unregister(listener)

    def notify(self, hook: str, **news: Any) -> None:
        """Call a lifecycle hook of all plugins; log one warning for a plugin that fails."""
        for module in [one.plugin for one in getattr(self._manager.hook, hook).get_hookimpls()]:
            try:
                self._manager.subset_hook_caller(hook, self._manager.get_plugins() - {module})(**news)
            except Exception as error:
                name = self._manager.get_name(module) or ""
                if name not in self._warned:
                    self._warned.add(name)
                    _log.warning("the plugin %s failed in %s: %s", name, hook, one_line(error))
                _log.debug("the plugin %s failed in %s", name, hook, exc_info=True)


def _offering(entries: list[Entry], plugin: Plugin, kind: str) -> Register:
    """Return the ``register`` that a plugin's hook for a kind is called with; it adds to the entries."""

    def register(
        name: str,
        target: str,
        *,
        options: str | None = None,
        help: str = "",
        default: bool = False,
        fallback: bool = False,
    ) -> None:
        for place in (target, options or target):
            if not re.fullmatch(r"[\w.]+:[\w.]+", place):
                what = f"the {noun(kind)} {name!r}"
                raise PluginError(f"{what} points to {place!r}, not to 'package.module:Name'")
        source = (plugin.name, plugin.distribution, plugin.version)
        entries.append(Entry(kind, name, target, options, help, default, *source, fallback))

    # What Python says of wrong arguments begins with this name.
    register.__qualname__ = register.__name__
    return register


def found(files: Sequence[Path]) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    """Yield every installed plugin and every file, each with the function that imports it.

    Raises:
        InputError: a file does not exist.
    """
    for point in sorted(entry_points(group=GROUP), key=_origin):
        distribution, version, _ = _origin(point)
        yield Plugin(point.name, distribution, version + source_mark(point), target=point.value), point.load
    for path in {os.path.realpath(file): file for file in files}.values():
        if not path.is_file():
            what = "a folder, where a plugin's file was expected"
            missing = f"there is no such plugin file{nearest_path(str(path))}"
            raise InputError(f"{path}: {what if path.is_dir() else missing}")
        yield _plugin_of_file(path)


def _origin(point: EntryPoint) -> tuple[str, str, str]:
    dist = point.dist
    return (dist.name, dist.version, point.name) if dist else ("unknown", "", point.name)


def _plugin_of_file(path: Path) -> tuple[Plugin, Callable[[], object]]:
    version = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    plugin = Plugin(path.stem, str(path), version, target=str(path), is_file=True)
    return plugin, lambda: _import_file(path)


def _import_file(path: Path) -> object:
    """Import a file under a unique module name, so that its targets can be f"{__name__}:Class"."""
    place = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:8]
    name = re.sub(r"\W", "_", f"{FILE_MODULE}{path.stem}_{place}")
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
