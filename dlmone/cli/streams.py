"""Make standard input, output and error safe to use, whatever they are connected to."""

import errno
import io
import os
import sys


class _Closed(io.TextIOBase):
    """Standard output where there is none: writing fails, as it does in other tools."""

    encoding = "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")


def prepare_streams() -> None:
    """Replace closed streams, and let no character end a command that a terminal's encoding lacks.

    A closed descriptor is taken up by the null device: the next file that is opened would get its number.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        os.open(os.devnull, os.O_WRONLY)
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
