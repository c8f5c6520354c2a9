"""``--set NAME.OPTION=VALUE``: options of the plugins that a command names."""

from collections.abc import Iterable, Sequence
from typing import Any

from dlmone.core.errors import InputError


class NamedOptions:
    """Options of a command's plugins, by the plugins' names.

    Args:
        overrides: ``NAME.OPTION=VALUE`` each, as `layer_of_overrides` reads them.
        names: what ``*`` stands for.

    Raises:
        InputError: one cannot be read, or names no option.
    """

    def __init__(self, overrides: Sequence[str], names: Iterable[str] = ()) -> None:
        from dlmone.registry.loading.layers import layer_of_overrides

        self._tables = layer_of_overrides({name: {} for name in names}, overrides, like="NAME.OPTION").table
        for name, table in self._tables.items():
            if not isinstance(table, dict):
                raise InputError(f"--set {name}: expected an option of it, as in --set {name}.OPTION=VALUE")

    def of(self, name: str) -> dict[str, Any]:
        """Return what is set of a plugin's options."""
        return dict(self._tables.get(name, {}))

    def require_used(self, names: Iterable[str]) -> None:
        """Raise InputError if an option belongs to none of the plugins in use."""
        from dlmone.registry.explain import nearest

        used = set(names)
        if unused := sorted(self._tables.keys() - used):
            raise InputError(
                f"--set {unused[0]}: nothing of that name is used here{nearest(unused[0], used)}"
            )
