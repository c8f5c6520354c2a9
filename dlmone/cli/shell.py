"""Run every command with lazy imports, one-sentence errors, and exit codes.

0 done, 1 the run failed, 2 usage or recipe error, 3 plugin error, 130 interrupted.
"""

import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from textwrap import shorten
from typing import Any, TextIO

import click

from dlmone.core.errors import DlmoneError, InputError, PluginError

from .openmp import limit_spinning
from .streams import prepare_streams
from .verbosity import take_verbosity

INTERRUPTED = 130
AGAIN = " (run again with dlmone --traceback ...)"
#: The most characters of an unexpected error, or of a word that was given, that are shown.
LONGEST = 500
NO_MEMORY = "there is not enough memory: lower the batch, or the sizes of the networks"


#: Set by a shell that completes a command line (`completion`).
COMPLETE = "_DLMONE_COMPLETE"


@dataclass
class Settings:
    """Options given before the command."""

    traceback: bool = False


class Shell(click.Group):
    """The top group. Command ``x`` is the attribute ``x`` of the module ``x`` in a package."""

    def __init__(self, *args: Any, commands_of: tuple[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.package, self.names = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.names:
            return None
        command: click.Command = getattr(import_module(f"{self.package}.{cmd_name}"), cmd_name)
        return take_verbosity(command)

    def main(self, args: Sequence[str] | None = None, *ignored: Any, **extra: Any) -> Any:
        limit_spinning()
        prepare_streams()
        settings = Settings()
        extra |= {"prog_name": "dlmone", "standalone_mode": False, "obj": settings}
        if COMPLETE in os.environ:
            return super().main(args, **extra)  # a shell asks what to offer; click answers and exits
        with warnings.catch_warnings(), _interrupts_remembered() as interrupts:
            warnings.showwarning = _say_warning
            sys.exit(_exit_code(partial(super().main, args, **extra), settings, interrupts))


@contextmanager
def _interrupts_remembered() -> Iterator[list[int]]:
    """Yield the SIGINTs of the time within, as far as no other handler takes them.

    A library that is interrupted while it is imported may swallow that, and fail at its next import.
    """
    seen: list[int] = []

    def interrupt(number: int, frame: Any) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _exit_code(action: Callable[[], Any], settings: Settings, interrupts: Sequence[int] = ()) -> int:
    try:
        code = action()
        # Here and not at the interpreter's end, where a closed pipe could no longer be dealt with.
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except click.Abort:
        return _failed("interrupted", INTERRUPTED, settings)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        text = " ".join(error.format_message().split()).rstrip(".")
        return _failed(text + hint, InputError.exit_code, settings)
    except DlmoneError as error:
        return _failed(str(error), error.exit_code, settings)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(f"{place}{error.strerror or error}", 1, settings)
    except BaseException as error:  # also what is no Exception, such as sys.exit() in a plugin
        if interrupts:
            return _failed("interrupted", INTERRUPTED, settings)
        from dlmone.registry.origin import failure
        from dlmone.runtime.environment import lacks_memory

        if lacks_memory(error):
            return _failed(NO_MEMORY, 1, settings)
        if where := failure(error):
            return _failed(where + AGAIN, PluginError.exit_code, settings)
        if isinstance(error, SystemExit):  # no plugin's: click's, when whoever reads the output has gone
            return error.code if isinstance(error.code, int) else 0
        what = shorten(" ".join(f"{type(error).__name__}: {error}".split()), LONGEST, placeholder=" …")
        return _failed(f"internal error: {what}{AGAIN}", 1, settings)


def _failed(text: str, code: int, settings: Settings) -> int:
    if settings.traceback:
        traceback.print_exc()
    if code == INTERRUPTED and os.environ.get("RANK", "0") != "0":
        return code  # all of torchrun's processes were stopped, and the main one says so
    # What was given is repeated, however long it is.
    text = re.sub(rf"\S{{{LONGEST},}}", lambda word: f"{word[0][:LONGEST]}…", text)
    click.echo(text if code == INTERRUPTED else f"error: {text}", err=True)
    return code


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if os.environ.get("RANK", "0") == "0":  # all of torchrun's processes warn alike
        click.echo("warning: " + " ".join(str(message).split()), err=True)
