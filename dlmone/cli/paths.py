"""The type of every option and argument that is a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dlmone.registry.fields.paths import trouble


def possible_path(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the text of an option that names a path, for a callback."""
    if value and (wrong := trouble(value)):
        from dlmone.registry.explain import shortened

        raise click.BadParameter(f"{shortened(value)!r}: {wrong}")
    return value


class LocalPath(click.Path):
    """A path, ``~`` expanded, that a file system can hold; the options are click's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        text = os.fspath(value)
        if not text:
            self.fail("a path cannot be empty", param, ctx)
        if wrong := trouble(text):
            from dlmone.registry.explain import shortened

            self.fail(f"{shortened(text)!r}: {wrong}", param, ctx)
        path = Path(text).expanduser()
        if self.exists and not os.path.lexists(path):
            from dlmone.registry.explain import nearest_path

            self.fail(f"{self.name} {text!r} does not exist{nearest_path(text)}", param, ctx)
        return super().convert(path, param, ctx)
