"""``dlmone convert``: a checkpoint of another code base as a model folder."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dlmone.core.errors import InputError, PluginError

from ..paths import LocalPath
from ..request import plugin_option
from ..verbosity import say

if TYPE_CHECKING:
    from dlmone.core import Teacher
    from dlmone.registry import Registry


@click.command(short_help="Convert a checkpoint of another code base into a model folder.")
@click.argument("name")
@click.argument("source", metavar="DIR", type=LocalPath())
@click.argument("out", metavar="OUT", type=LocalPath())
@click.option("--tokenizer", metavar="PATH", help="The tokenizer, if it is not beside the weights.")
@plugin_option
def convert(name: str, source: Path, out: Path, tokenizer: str | None, plugins: tuple[Path, ...]) -> None:
    """Convert a checkpoint of another code base, in DIR, into the model folder OUT.

    NAME is a converter, as `diffuseq` for a checkpoint folder of the official DiffuSeq.
    """
    from dlmone.models.card import converted_card
    from dlmone.models.folder import check_finite, publish
    from dlmone.registry import Registry

    if out.exists():
        raise InputError(f"{out} is there already; remove it, or name another folder")
    registry = Registry.discover(plugins)
    registry.require_files()
    converter = registry.load("converters", name)
    if tokenizer is not None and "tokenizer" not in inspect.signature(converter).parameters:
        raise InputError(f"the converter {name!r} takes no --tokenizer")
    conversion = converter(source, **({"tokenizer": tokenizer} if tokenizer is not None else {}))
    for line in conversion.report:
        say(line)
    check_finite(conversion.teacher.state_dict(), source)
    family = _family(registry, conversion.teacher)
    role: Literal["teacher", "student"] = "teacher" if conversion.student is None else "student"
    conditional = conversion.teacher.space.conditional
    card = converted_card(out.name, family, role, conversion.report, conditional)
    publish(out, conversion.teacher, family, role, card, student=conversion.student)
    click.echo(out)


def _family(registry: Registry, teacher: Teacher) -> str:
    """Return the name that the teacher's class is offered under."""
    place = f"{type(teacher).__module__}:{type(teacher).__qualname__}"
    for name in registry.names("teachers"):
        if registry.entry("teachers", name).target == place:
            return name
    raise PluginError(f"the converter returned a {place}, which no plugin registers as a teacher")
