"""``dlmone plugins``: what is installed, what a plugin takes, and the start of a new one."""

from __future__ import annotations

import builtins
import keyword
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlmone.core.errors import InputError, PluginError

from ..completion import complete_plugin
from ..output import print_columns, print_json
from ..request import plugin_option
from ..skeleton import SKELETONS

#: The longest name of a new plugin; its file has to be one that file systems take.
LONGEST = 100

if TYPE_CHECKING:
    from dlmone.registry import Entry, Registry


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List, show and start plugins."""
    if context.invoked_subcommand is None:
        context.invoke(list_plugins)


@plugins.command("list", short_help="List what plugins offer, and the broken ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def list_plugins(as_json: bool = False, plugins: tuple[Path, ...] = ()) -> None:
    """List every name that a plugin offers, and the plugins that are broken."""
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    entries, broken = _entries(registry), registry.broken
    if as_json:
        names = ("name", "distribution", "version", "target", "reason")
        failures = [{name: getattr(plugin, name) for name in names} for plugin in broken]
        print_json({"offered": [_facts(entry) for entry in entries], "broken": failures})
        return
    print_columns([(one.kind, one.name, one.help, f"{one.distribution} {one.version}") for one in entries])
    if broken:
        click.echo("\nbroken:")
        print_columns([(str(plugin), plugin.reason) for plugin in broken])


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
def show(name: str, as_json: bool, plugins: tuple[Path, ...]) -> None:
    """Show what is offered under NAME, with its options."""
    from dlmone.registry import Registry

    registry = Registry.discover(plugins)
    entries = [entry for entry in _entries(registry) if entry.name == name]
    if not entries:
        raise _unknown(registry, name)
    shown = [{**_facts(entry), "options": _options(registry, entry)} for entry in entries]
    if as_json:
        print_json(shown)
        return
    for facts in shown:
        click.echo(f"{facts['kind']}  {name}: {facts['help']}")
        click.echo(f"  {facts['target']} ({facts['distribution']} {facts['version']})")
        for option in facts["options"]:
            default = f" = {option['default']}" if option["default"] is not None else ""
            bounds = f" ({option['bounds']})" if option["bounds"] else ""
            click.echo(f"  {option['name']}: {option['type']}{default}{bounds}")
            if option["help"]:
                click.echo(f"      {option['help']}")


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([*SKELETONS]),
    default=next(iter(SKELETONS)),
    show_default=True,
    help="What it is; an evaluator is a metric.",
)
def new(name: str, kind: str) -> None:
    """Write NAME.py: a plugin that works, to be made into yours."""
    from dlmone.registry import Registry
    from dlmone.runtime.files import write_whole

    path = Path(f"{name}.py")
    if not name.isidentifier() or keyword.iskeyword(name) or len(name) > LONGEST:
        raise InputError(
            f"{name[:200]!r} is no name for a plugin: it must be one for a Python module, like my_loss"
        )
    if path.exists():
        raise InputError(f"{path} is there already")
    if name in Registry.discover().names(f"{kind}s"):
        raise InputError(f"there is an {kind} {name!r} already; name yours otherwise")
    # The file may be imported by its name one day, and what it imports may import that module.
    if hasattr(builtins, name) or find_spec(name):
        raise InputError(f"{name!r} is the name of a Python module or builtin; name yours otherwise")
    write_whole(path, SKELETONS[kind].replace("NAME", name))
    click.echo(path)


def _entries(registry: Registry) -> list[Entry]:
    from dlmone.registry.catalogue import KINDS

    return [entry for kind in KINDS for name in registry.names(kind) for entry in registry.claims(kind, name)]


def _facts(entry: Entry) -> dict[str, Any]:
    names = ("kind", "name", "help", "distribution", "version", "target")
    return {name: getattr(entry, name) for name in names}


def _options(registry: Registry, entry: Entry) -> list[dict[str, Any]]:
    """Return the options of a plugin; a default of None is none, or a value that must be given."""
    from dlmone.registry.describe import option_keys

    names = ("name", "type", "bounds", "default", "help", "required")
    keys = option_keys(registry.options_model(entry.kind, entry.name))
    return [{name: getattr(key, name) for name in names} for key in keys]


def _unknown(registry: Registry, name: str) -> PluginError:
    from dlmone.registry.explain import nearest

    broken = [plugin for plugin in registry.broken if plugin.name == name]
    if broken:
        return PluginError(f"the plugin {broken[0]} is broken: {broken[0].reason}")
    known = {entry.name for entry in _entries(registry)}
    return PluginError(f"no plugin offers {name!r}{nearest(name, known)}")
