"""Run cases in processes of their own, with limits of time and memory."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .case import Case
from .outcome import Outcome, outcome_of

#: Seconds of CPU time that a case may take, seconds of any kind, and bytes of address space.
SECONDS, PATIENCE, MEMORY = 40, 400, 12 * 2**30


def tried(cases: Sequence[Callable[[], Case]], root: Path) -> list[tuple[str, Outcome]]:
    """Run cases one after another in a process of their own, until all are run or one ends the process.

    Args:
        cases: each puts its input into ``root``.
        root: the scratch folder.

    Returns:
        What is wrong in each case that was run, and its outcome.
    """
    answer = root.with_name(f"{root.name}.answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _behave(cases, root, answer)
    code = _waited(child, answer)
    found: list[tuple[str, Outcome]] = []
    with answer.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
        while True:
            found.append(pickle.load(file))
    if len(found) < len(cases):
        endless = code is None or (os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGXCPU)
        end = "no end" if endless else f"the process crashed ({code})"
        found.append((cases[len(found)]().what, Outcome(None, "", (end,))))
    return found


def _behave(cases: Sequence[Callable[[], Case]], root: Path, answer: Path) -> None:
    """Run cases and write the outcome of each as it ends; never returns."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = SECONDS * len(cases) + 5
        with answer.open("wb") as file:
            for put in cases:
                spent = int(time.process_time())
                resource.setrlimit(resource.RLIMIT_CPU, (min(spent + SECONDS, hard - 1), hard))
                case = put()
                os.chdir(root)
                pickle.dump((case.what, outcome_of(case, root)), file)
                file.flush()
    except BaseException:
        os._exit(9)
    os._exit(0)


def _waited(child: int, answer: Path) -> int | None:
    """Return how a process ended; None if a case of it did not, and it was killed."""
    size, last = 0, time.monotonic()
    while time.monotonic() < last + PATIENCE:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if answer.exists() and (grown := answer.stat().st_size) > size:
            size, last = grown, time.monotonic()  # another case has ended
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
