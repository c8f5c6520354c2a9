"""``-q`` and ``-v``: fewer or more lines on standard error, asked for before or after a command's name."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_QUIET, _VERBOSE = "dlmone.quiet", "dlmone.verbose"


class _Lines(logging.Handler):
    """Write what is logged to standard error as it is now: a live view puts it above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def is_quiet() -> bool:
    """Tell whether the command that runs was asked for results, warnings and errors alone."""
    context = click.get_current_context(silent=True)
    return context is not None and _QUIET in context.meta


def say(text: str) -> None:
    """Print a note on standard error, unless the command was asked to be quiet."""
    if not is_quiet():
        click.echo(text, err=True)


def take_verbosity(command: click.Command) -> click.Command:
    """Add ``--quiet`` and ``--verbose`` to a command and to those below it, which may have them already."""
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        take_verbosity(below)
    if not any(option.name == "quiet" for option in command.params):
        command.params += reversed(with_verbosity(click.Command(None)).params)
    return command


def _set(context: click.Context, option: click.Parameter, value: bool) -> None:
    if not value:
        return
    context.meta[_QUIET if option.name == "quiet" else _VERBOSE] = True
    if {_QUIET, _VERBOSE} <= context.meta.keys():
        raise click.UsageError("--quiet and --verbose exclude one another")
    # Under torchrun the main process speaks for all.
    if option.name == "verbose" and os.environ.get("RANK", "0") == "0":
        _show_details(context.find_root())


def _show_details(context: click.Context) -> None:
    """Show what dlmone's modules log, while the context lasts."""
    logger, handler = logging.getLogger("dlmone"), _Lines()
    former = logger.level
    if any(isinstance(one, _Lines) for one in logger.handlers):
        return
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def restore() -> None:
        logger.removeHandler(handler)
        logger.setLevel(former)

    context.call_on_close(restore)


_quiet = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_set,
    help="Only results, warnings and errors.",
)
_verbose = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_set,
    help="Also every logged value, what is loaded, and what takes how long.",
)


def with_verbosity(command: Command) -> Command:
    """Decorate a command, or a function that becomes one, with ``--quiet`` and ``--verbose``."""
    return _quiet(_verbose(command))
