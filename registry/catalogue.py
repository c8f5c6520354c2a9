"""Map names to the plugins that register them and to the code behind them.

If two plugins claim a name, using it is an error that names both. Code behind a name is imported on first
use.
"""

import pkgutil
from typing import Any

from pydantic import BaseModel, ConfigDict

from dlmone.core.errors import DlmoneError, InputError, PluginError

from . import hooks
from .contracts.check import mistake
from .explain import dotted, nearest, shortened, validated
from .plugin import Entry, Plugin, one_line
from .schema import Slot
from .shape import switched_off

REGISTER = "register_"
#: The kinds of things a plugin can register, one for each ``register_*`` hook.
KINDS = tuple(name.removeprefix(REGISTER) for name in vars(hooks) if name.startswith(REGISTER))


class NoOptions(BaseModel):
    """The options of a plugin that declares none."""

    model_config = ConfigDict(extra="forbid")


class Catalogue:
    """The plugins found and the names they register."""

    def __init__(self) -> None:
        self._plugins: list[Plugin] = []
        self._claims: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in KINDS}
        self._validated: dict[tuple[str, str, str], BaseModel] = {}

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All plugins found, including broken ones (those with a ``reason``)."""
        return tuple(self._plugins)

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """The plugins that failed, each with its reason and traceback."""
        return tuple(plugin for plugin in self._plugins if plugin.reason)

    def describe(self) -> list[dict[str, str]]:
        """Return the working plugins with their versions, as a run's manifest records them."""
        return [
            {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version}
            for plugin in self._plugins
            if not plugin.reason
        ]

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of a kind, including names claimed twice."""
        return sorted(self._claims[kind])

    def defaults(self, kind: str) -> list[str]:
        """Return the default names of a kind, in order of registration.

        Raises:
            PluginError: there are none.
        """
        claims = self._claims[kind]
        if names := [name for name, entries in claims.items() if any(entry.default for entry in entries)]:
            return names
        raise PluginError(f"no {noun(kind)} is installed that is used by default; name one")

    def fallbacks(self, kind: str) -> list[str]:
        """Return the names used by default where a default one is blind to the texts."""
        return [name for name, entries in self._claims[kind].items() if any(one.fallback for one in entries)]

    def claims(self, kind: str, name: str) -> tuple[Entry, ...]:
        """Return all claims to a name; more than one is a conflict."""
        return tuple(self._claims[kind].get(name, ()))

    def entry(self, kind: str, name: str, where: str = "") -> Entry:
        """Return the one claim to a name.

        Raises:
            PluginError: no plugin claims the name (the message has the nearest and the broken ones), or two
                plugins do (the message names both).
        """
        claims = self.claims(kind, name)
        if len(claims) == 1:
            return claims[0]
        if claims:
            both = " and by ".join(entry.provider for entry in claims)
            paths = [entry.distribution for entry in claims if entry.version.startswith("sha256:")]
            cure = f"leave out --plugin {paths[-1]}" if paths else "uninstall all but one"
            text = f"the {noun(kind)} {name!r} is claimed by {both}; {cure}"
        else:
            text = f"there is no {noun(kind)} {shortened(name)!r}{nearest(name, self.names(kind))}"
            for plugin in self.broken:
                text += f"\nthe plugin {plugin} is broken and may be the one that offers it: {plugin.reason}"
        raise PluginError(_at(where, text))

    def load(self, kind: str, name: str, where: str = "") -> Any:
        """Return the class (for converters, the function) behind a name, importing it.

        Raises:
            PluginError: there is no such name, or its target cannot be imported or breaks its contract.
        """
        entry = self.entry(kind, name, where)
        target = _resolve(entry, entry.target, where)
        if wrong := mistake(kind, target):
            raise PluginError(_at(where, f"{_subject(entry)} cannot be used: {entry.target} {wrong}"))
        return target

    def options_model(self, kind: str, name: str, where: str = "") -> type[BaseModel]:
        """Return the model of a plugin's options.

        Raises:
            PluginError: there is no such name, or its model cannot be used.
        """
        entry = self.entry(kind, name, where)
        if entry.options is None:
            return NoOptions
        model = _resolve(entry, entry.options, where)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(_at(where, f"{entry.provider}: {entry.options} is not a pydantic model"))
        if model.model_config.get("extra") not in ("forbid", "allow"):
            rule = 'needs extra="forbid" in its model_config: it would ignore misspelt keys'
            raise PluginError(_at(where, f"{entry.provider}: {entry.options} {rule}"))
        return model

    def options(self, kind: str, name: str, table: dict[str, Any], where: str = "") -> BaseModel:
        """Validate a table of options.

        Raises:
            InputError: the options are invalid; one line per key, each beginning with ``where``.
            PluginError: there is no such plugin, or it cannot be used.
        """
        if (known := self._validated.get(_key(kind, name, table))) is not None:
            return known
        model = self.options_model(kind, name, where)
        context = {"catalogue": self}
        return validated(model, switched_off(model, table), lambda loc: dotted(loc, where), context=context)

    def keep_options(self, kind: str, name: str, table: dict[str, Any], options: BaseModel) -> None:
        """Keep validated options, so that a table that says the same is not validated again."""
        self._validated[_key(kind, name, table)] = options

    def create(self, kind: str, slot: Slot, where: str = "") -> Any:
        """Return ``Class(options)`` for a slot of a recipe.

        Raises:
            InputError: the slot's options are invalid, or the class refuses them.
            PluginError: there is no such plugin, or it cannot be used.
        """
        options = self.options(kind, slot.use, slot.options, where)
        target = self.load(kind, slot.use, where)
        try:
            return target(options)
        except InputError as error:
            raise type(error)(_at(where, str(error))) from error
        except (DlmoneError, KeyboardInterrupt):
            raise
        except BaseException as error:
            entry = self.entry(kind, slot.use, where)
            how = f"{target.__qualname__}(options), as it is created, raised {one_line(error)}"
            raise PluginError(_at(where, f"{_subject(entry)} cannot be used: {how}")) from error


def _key(kind: str, name: str, table: dict[str, Any]) -> tuple[str, str, str]:
    return kind, name, repr(sorted(table.items()))


def noun(kind: str) -> str:
    """Return the singular of a kind."""
    return "data source" if kind == "data" else kind.removesuffix("s").replace("_", " ")


def _subject(entry: Entry) -> str:
    return f"the {noun(entry.kind)} {entry.name!r} of {entry.provider}"


def _resolve(entry: Entry, place: str, where: str) -> Any:
    try:
        return pkgutil.resolve_name(place)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also sys.exit(), and what is no Exception
        text = f"{_subject(entry)} cannot be loaded from {place}: {one_line(error)}"
        raise PluginError(_at(where, text)) from error


def _at(where: str, text: str) -> str:
    return f"{where}: {text}" if where else text
