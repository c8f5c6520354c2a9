"""Parse a slot's short forms: ``NAME``, or ``NAME:VALUE`` with the plugin's first option."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dlmone.core.errors import InputError

from .catalogue import Catalogue, noun
from .loading.layers import toml_value
from .schema import Slot

AnySlot = TypeVar("AnySlot", bound=Slot)


def table_of(
    kind: type[Slot], given: str | Mapping[str, Any], catalogue: Catalogue, where: str
) -> dict[str, Any]:
    """Return the slot's table; its options are not yet validated.

    Args:
        kind: what the slot is for.
        given: ``ddim``, ``ddim:0.5`` (ddim's first option is eta), or a table with ``use``, as a recipe's.
        catalogue: the plugins that can be named.
        where: the option or key it was given for, for errors.

    Raises:
        InputError: it names no plugin, or a value is given to a plugin without options.
        PluginError: there is no such plugin, or it cannot be used.
    """
    if not isinstance(given, str):
        if not isinstance(given, Mapping) or not isinstance(given.get("use"), str):
            raise InputError(f"{where}: expected NAME, NAME:VALUE, or a table that names a plugin with use")
        return dict(given)
    name, colon, value = given.partition(":")
    catalogue.entry(kind.kind, name, where)
    if not colon:
        return {"use": name}
    first = next(iter(catalogue.options_model(kind.kind, name, where).model_fields), None)
    if first is None:
        raise InputError(f"{where}: the {noun(kind.kind)} {name!r} has no option that {value!r} could set")
    return {"use": name, first: toml_value(value, f"{where} {given}")}


def slot_of(kind: type[AnySlot], given: str | Mapping[str, Any], catalogue: Catalogue, where: str) -> AnySlot:
    """Return the slot that is meant (see `table_of`), with its options checked.

    Raises:
        InputError: as `table_of`, or an option is wrong.
        PluginError: there is no such plugin, or it cannot be used.
    """
    slot = kind.model_validate(table_of(kind, given, catalogue, where))
    catalogue.entry(slot.kind, slot.use, where)
    catalogue.options(slot.kind, slot.use, slot.options, f"{where} {slot.use}")
    return slot
