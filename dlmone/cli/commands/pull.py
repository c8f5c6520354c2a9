"""``dlmone pull``: a model of the Hugging Face hub as a folder."""

from __future__ import annotations

from pathlib import Path

import click

from dlmone.core.errors import InputError

from ..paths import LocalPath
from ..request import plugin_option


@click.command()
@click.argument("repository", metavar="OWNER/NAME[@REVISION]")
@click.argument("out", metavar="[OUT]", required=False, type=LocalPath())
@plugin_option
def pull(repository: str, out: Path | None, plugins: tuple[Path, ...]) -> None:
    """Fetch a model from the Hugging Face hub into the folder OUT (NAME, if none is given).

    Every command also takes hub:OWNER/NAME[@REVISION] itself, without a copy (docs/hub.md).
    """
    import shutil

    from dlmone.models.export import check_loads
    from dlmone.models.hub import fetch, files_of, parse, pinned
    from dlmone.registry import Registry
    from dlmone.runtime.files import atomic_folder

    registry = Registry.discover(plugins)
    registry.require_files()
    address = parse(repository)
    out = Path(address.repo.partition("/")[2]) if out is None else out
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or name another folder")
    folder = fetch(address)
    check_loads(folder, registry)
    with atomic_folder(out) as copy:
        for path in files_of(folder):
            shutil.copyfile(path, copy / path.name)
    click.echo(pinned(folder), err=True)
    click.echo(out)
