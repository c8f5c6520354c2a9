"""Load a recipe by name and resolve it: validated, with all defaults filled in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomli_w
from pydantic import BaseModel

from dlmone.core.errors import InputError, PluginError

from ..catalogue import noun
from ..discovery import Registry
from ..explain import Loc, dotted, nearest, validated, value_at
from ..schema import Recipe, Slot, TeacherSlot
from ..shape import plain, switched_off
from .files import FILE_KEYS, read_recipe
from .layers import Layer, layer_of_overrides, layer_of_settings, origin, stack

_LOADED = (
    "the teacher is loaded from {} as it was trained, so this changes nothing; "
    "remove it, or set teacher.path = false to train one"
)


@dataclass(frozen=True, slots=True)
class ResolvedRecipe:
    """A checked recipe.

    Attributes:
        recipe: the recipe, with its plugins' options filled in.
        profile: the profile it was resolved with.
        source: the file it came from.
        table: the recipe as plain TOML values; loading it gives the same recipe.
    """

    recipe: Recipe
    profile: str | None
    source: str
    table: dict[str, Any]

    def dump(self) -> str:
        """Return the recipe as TOML, with all values."""
        profile = f", profile {self.profile}" if self.profile else ""
        return f"# Resolved from {self.source}{profile}.\n\n{tomli_w.dumps(self.table)}"


def load_recipe(
    path_or_name: str | Path,
    *,
    registry: Registry,
    profile: str | None = None,
    row: Layer | None = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, Sequence[tuple[str, Any]]] = MappingProxyType({}),
    seed: int | None = None,
) -> ResolvedRecipe:
    """Read, merge and validate a recipe. Of its plugins, only the options are imported.

    Args:
        path_or_name: a file, or the name of a shipped recipe.
        registry: the plugins that the recipe can name.
        profile: one of its profiles; the one named by its ``profile`` key if None.
        row: what a row of a grid changes, on top of the profile.
        overrides: ``KEY=VALUE`` settings on top of that (`layer_of_overrides`).
        settings: keys and values on top of those, by what gives them: an option, or a grid.
        seed: overrides all layers.

    Raises:
        InputError: the recipe is invalid; one line per mistake, with its location and a fix.
        PluginError: it names a plugin that is missing, broken, or claimed twice.
    """
    registry.require_files()
    file = read_recipe(path_or_name)
    profile = file.default_profile if profile is None else profile
    layers = [*file.layers(profile), *([row] if row else [])]
    if overrides:
        layers.append(layer_of_overrides(stack(layers), overrides))
    for source, given in settings.items():
        if given:
            layers.append(layer_of_settings(stack(layers), given, source))
    if seed is not None:
        layers.append(Layer("--seed", {"seed": seed}))
    recipe = _with_options(_validated(stack(layers), layers), layers, registry)
    return ResolvedRecipe(recipe, profile, file.label, plain(recipe))


def _validated(table: dict[str, Any], layers: Sequence[Layer]) -> Recipe:
    _check_order(table, layers, ("stage_order",), ("stages",))
    _check_order(table, layers, ("evaluation", "metric_order"), ("evaluation", "metrics"))
    return validated(Recipe, table, partial(_place, layers, ()), FILE_KEYS)


def _check_order(table: dict[str, Any], layers: Sequence[Layer], order: Loc, parts: Loc) -> None:
    """Raise InputError if an order lists a part that no layer has ever had; one taken out may be listed."""
    listed = value_at(table, order)
    sections = [value_at(layer.table, parts) for layer in layers]
    known = {name for section in sections if isinstance(section, dict) for name in section}
    for name in listed if isinstance(listed, list) else ():
        if isinstance(name, str) and name not in known:
            what = f"there is no {dotted((*parts, name))}{nearest(name, known)}"
            raise InputError(f"{_place(layers, (), order)}: {what}")


def _with_options(recipe: Recipe, layers: Sequence[Layer], registry: Registry) -> Recipe:
    """Return the recipe with the options of all its plugins checked and their defaults filled in."""
    table = plain(recipe)
    mistakes: list[str] = []
    for loc, slot in _slots(recipe):
        model = registry.options_model(slot.kind, slot.use, _place(layers, loc, ("use",)))
        own = type(slot).model_fields
        for key in own.keys() & model.model_fields.keys():
            what = f"the {noun(slot.kind)} {slot.use!r} has an option {key!r}"
            raise PluginError(f"{what}, which no recipe can give it: that key is the recipe's own")
        # A loaded teacher has its options in its own folder; don't fill in defaults here.
        if isinstance(slot, TeacherSlot) and slot.path:
            ignored = [*slot.options, *(("pretrain",) if slot.pretrain else ())]
            mistakes += [f"{_place(layers, loc, (key,))}: {_LOADED.format(slot.path)}" for key in ignored]
            continue
        try:
            given, place = switched_off(model, slot.options), partial(_place, layers, loc)
            options = validated(model, given, place, own, context={"catalogue": registry})
        except InputError as error:
            mistakes.append(str(error))
        else:
            filled = plain(options)
            registry.keep_options(slot.kind, slot.use, filled, options)
            value_at(table, loc).update(filled)
    if mistakes:
        raise InputError("\n".join(mistakes))
    return Recipe.model_validate(table)


def _slots(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, Slot]]:
    """Yield every plugin slot of a recipe with its key path."""
    if isinstance(value, Slot):
        yield loc, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _slots(getattr(value, name), (*loc, name))
    elif isinstance(value, dict):
        for name, below in value.items():
            yield from _slots(below, (*loc, name))


def _place(layers: Sequence[Layer], table: Loc, key: Loc) -> str:
    loc = (*table, *key)
    return ": ".join(filter(None, (origin(layers, loc), dotted(loc))))
