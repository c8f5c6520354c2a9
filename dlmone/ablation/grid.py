"""Read a grid: its rows, each a set of changes to one recipe, and the values that a row searches over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from dlmone.core import InputError
from dlmone.registry.explain import dotted, validated
from dlmone.registry.fields.names import folder_name
from dlmone.registry.loading.files import RecipeFile
from dlmone.registry.loading.layers import Layer, toml_value
from dlmone.registry.schema import Section

#: A key of the recipe and its value.
Settings = tuple[tuple[str, Any], ...]
RowName = Annotated[str, AfterValidator(folder_name)]


class GridTable(Section):
    """The table ``grid`` of a recipe file.

    ``rows`` holds what each row changes in the recipe, as a profile does, and under ``search`` the values of
    keys among which the row's best on validation is selected.
    """

    seeds: Annotated[int, Field(gt=0, le=1_000)] = 3
    passes: Annotated[int, Field(gt=0, le=10**15)] | None = None
    rows: dict[RowName, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class GridRow:
    """A row of the table.

    Attributes:
        name: its name, and its folder's.
        layer: what it changes in the recipe; None if nothing.
        settings: further changes, from ``--vary``.
        search: the values to try, by key.
    """

    name: str
    layer: Layer | None = None
    settings: Settings = ()
    search: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def candidates(self) -> list[tuple[str, Settings]]:
        """All combinations of the values to try, each with a name; one without either if none is searched."""
        return [
            (",".join(f"{short}={value}" for short, (_, value) in zip(names, chosen, strict=True)), chosen)
            for names in [_short(list(self.search))]
            for chosen in (
                tuple(zip(self.search, values, strict=True)) for values in product(*self.search.values())
            )
        ]


def read_grid(file: RecipeFile) -> GridTable:
    """Return a recipe file's grid; one without rows if it has none.

    Raises:
        InputError: the table is wrong.
    """
    return validated(GridTable, file.grid, lambda loc: f"{file.label}: {dotted(('grid', *loc))}")


def grid_rows(file: RecipeFile, table: GridTable, vary: Sequence[str]) -> list[GridRow]:
    """Return the rows of a grid: those of the file, each at every combination of the varied values.

    Args:
        file: the recipe file.
        table: its grid.
        vary: ``KEY=VALUE,VALUE``, or ``KEY=[…]`` with a TOML array.

    Raises:
        InputError: there is nothing to vary, a value cannot be read, or two rows have one name.
    """
    rows = [_row(file, name, changes) for name, changes in table.rows.items()]
    if not rows and not vary:
        raise InputError(
            f"{file.label}: has no rows; give --vary KEY=VALUE,VALUE, or write them as [grid.rows.NAME]"
        )
    varied = dict(_varied(text) for text in vary)
    short = _short([key.removesuffix(".use") for key in varied])
    found = [
        GridRow(
            ",".join(
                [
                    *([row.name] if row.name else []),
                    *(_label(*one) for one in zip(short, chosen, strict=True)),
                ]
            ),
            row.layer,
            tuple(zip(varied, chosen, strict=True)),
            row.search,
        )
        for row in rows or [GridRow("")]
        for chosen in product(*varied.values())
    ]
    names = [row.name for row in found]
    for name in names:
        _require_folder("--vary", name)
        if names.count(name) > 1:
            raise InputError(f"two rows have the name {name}: vary each key once, over different values")
    return found


def _row(file: RecipeFile, name: str, changes: Mapping[str, Any]) -> GridRow:
    where = f"{file.label} [grid.rows.{name}]"
    changes = dict(changes)
    search = changes.pop("search", {})
    if not isinstance(search, dict) or not all(isinstance(one, list) and one for one in search.values()):
        raise InputError(
            f'{where}: search: expected keys and their values, as in {{ "stages.S.generator.lr" = [1e-5] }}'
        )
    row = GridRow(name, Layer(where, changes), (), search)
    for candidate, _ in row.candidates:
        if search:
            _require_folder(f"{where}: search", candidate)
    return row


def _require_folder(where: str, name: str) -> None:
    try:
        folder_name(name)
    except ValueError as error:
        raise InputError(f"{where}: {error}, got {name!r}; write each as [grid.rows.NAME]") from None


def _varied(text: str) -> tuple[str, list[Any]]:
    key, equals, values = text.partition("=")
    if not equals or not values.strip():
        raise InputError(f"--vary {text}: expected KEY=VALUE,VALUE")
    where = f"--vary {text}"
    if values.strip().startswith("["):
        found = toml_value(values.strip(), where)
        return key.strip(), list(found)
    return key.strip(), [toml_value(value.strip(), where) for value in values.split(",")]


def _label(short: str, value: Any) -> str:
    plugin = value.get("use") if isinstance(value, Mapping) else None
    return f"{short}={plugin or value}"


def _short(keys: Sequence[str]) -> list[str]:
    """Return the shortest ends of dotted keys that tell them apart."""
    parts = [key.split(".") for key in keys]
    length = 1
    while len({tuple(one[-length:]) for one in parts}) < len({*keys}):
        length += 1
    return [".".join(one[-length:]) for one in parts]
