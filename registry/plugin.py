"""Describe plugins and the names they register."""

import traceback
from dataclasses import dataclass, replace
from typing import Self

from dlmone.core.errors import DlmoneError


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin found, working or broken.

    Attributes:
        name: the entry point's name, or the file's stem.
        distribution, version: its package; for a one-file plugin its path and the hash of its text.
        target: the module, or the file.
        is_file: whether the user gave it as a file.
        reason: why it is broken, in one line; empty if it works.
        traceback: the full traceback of the failure.
    """

    name: str
    distribution: str
    version: str
    target: str
    is_file: bool = False
    reason: str = ""
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})".replace(" )", ")")

    def broken_by(self, error: BaseException) -> Self:
        """Return this plugin marked as broken by ``error``."""
        story = "".join(traceback.format_exception(error))
        return replace(self, reason=one_line(error), traceback=story)


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that a plugin registers, with the locations of its code and options."""

    kind: str
    name: str
    target: str
    options: str | None
    help: str
    default: bool
    plugin: str
    distribution: str
    version: str
    fallback: bool = False

    @property
    def provider(self) -> str:
        return str(Plugin(self.plugin, self.distribution, self.version, self.target))


def one_line(error: BaseException) -> str:
    """Format an exception in one line; dlmone's errors are sentences already."""
    text = " ".join(str(error).split())
    if isinstance(error, DlmoneError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
