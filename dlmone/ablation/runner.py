"""Run a grid: the teacher, then every run that is not finished; several processes may share the work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from dlmone.core import DlmoneError
from dlmone.registry import Registry
from dlmone.registry.plugin import one_line
from dlmone.runtime.interrupts import Interrupted
from dlmone.training.run import run as run_recipe

from .outcome import FAILED, Outcome, outcome_of
from .plan import Candidate, Plan, PlannedRow, PlannedRun
from .search import selected

#: Seconds between looks at what another process is running.
WAIT = 1.0


class GridRunner:
    """The work on a grid that this process does.

    A run that is finished is not run again. One that was interrupted is resumed. One that failed in an
    earlier call is tried once more in this one, and the others go on.

    Args:
        plan: the grid.
        registry: provides the plugins.
        console: receives the progress.
        command: the command line, for the runs' manifests.
    """

    def __init__(self, plan: Plan, registry: Registry, console: Console, command: Sequence[str]) -> None:
        self.plan, self.registry, self.console, self.command = plan, registry, console, command
        self.started = time.time()

    def teach(self) -> None:
        """Provide and evaluate the teacher, or wait for the process that does.

        Raises:
            DlmoneError: it failed, and without it there is no row.
        """
        teacher = self.plan.teacher
        with _lock(teacher, wait=True):
            if outcome_of(teacher) is not Outcome.FINISHED:
                self._say(teacher)
                self._run(teacher)

    def work(self, rows: Sequence[PlannedRow]) -> None:
        """Run what is left of some rows, and wait for what other processes run of them.

        Raises:
            Interrupted: the user stopped; the same command goes on.
        """
        while open_runs := [run for run in self._known(rows) if self._open(run)]:
            worked = [self._try(run) for run in open_runs]
            if not any(worked):
                time.sleep(WAIT)

    def _known(self, rows: Sequence[PlannedRow]) -> list[PlannedRun]:
        """Return the runs that are known to be needed by now: the first seed of every row first.

        A search begins with its candidates' first seeds. The other seeds are the selected one's.
        """
        found: list[PlannedRun] = []
        for place in range(len(self.plan.seeds)):
            for row in rows:
                candidates: Sequence[Candidate] = row.candidates
                if place:
                    chosen = selected(row, self._open)
                    candidates = [chosen] if chosen else []
                found += [one.runs[place] for one in candidates]
        return found

    def _open(self, run: PlannedRun) -> bool:
        """Tell whether a run is still to be made by this call of the command, here or elsewhere."""
        outcome = outcome_of(run)
        if outcome is Outcome.FAILED:
            return (run.path / FAILED).stat().st_mtime < self.started
        return outcome is not Outcome.FINISHED

    def _try(self, run: PlannedRun) -> bool:
        """Run what no other process is running. Return whether this process did something."""
        try:
            with _lock(run):
                if not self._open(run):
                    return True
                self._say(run)
                self._attempt(run)
                return True
        except Timeout:
            return False

    def _attempt(self, run: PlannedRun) -> None:
        """Run once, and leave the sentence of a failure in the run's folder."""
        (run.path / FAILED).unlink(missing_ok=True)
        try:
            self._run(run)
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:
            sentence = str(error) if isinstance(error, DlmoneError) else f"internal error: {one_line(error)}"
            run.path.mkdir(parents=True, exist_ok=True)
            (run.path / FAILED).write_text(sentence + "\n", encoding="utf-8")
            self.console.print(f"failed: {sentence}", highlight=False)

    def _run(self, run: PlannedRun) -> None:
        # The last evaluation's results are void from here on.
        (run.path / "report" / "results.json").unlink(missing_ok=True)
        with redirect_stdout(sys.stderr):
            run_recipe(run.resolved, run.path, self.registry, self.console, command=self.command)

    def _say(self, run: PlannedRun) -> None:
        self.console.print(f"\n{run.path.relative_to(self.plan.out)}", highlight=False)


@contextmanager
def _lock(run: PlannedRun, wait: bool = False) -> Iterator[None]:
    """Keep a run to this process.

    Raises:
        Timeout: another one has it, and this one is not to wait.
    """
    path: Path = run.path.with_name(f".{run.path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=-1 if wait else 0):
        yield
