"""The Tracker contract: one identifier a run, kept when the run is resumed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dlmone.core import Sample
from dlmone.registry import TrackedRun, Tracker

from ..claims import require

#: A run to follow: a recipe with the kinds of values that recipes have, two stages that begin at step 0.
RECIPE = {"name": "check", "seed": 0, "stages": {"one": {"generator": {"lr": 1e-4}, "names": ["a", "b"]}}}
SAMPLES = [Sample("0", "how | why ?", "why is that ?", ("why ?", "")), Sample("1", "", "", ("丽江",))]


def check_tracker(create: Callable[[], Tracker], folder: Path) -> str:
    """Check a tracker against its contract: follow a run, then the same run resumed by a new process.

    Args:
        create: makes the tracker, as a run does when it begins and when it is resumed.
        folder: an empty run directory.

    Returns:
        the run's identifier, with which a test of the plugin can read back what was sent: the value
        ``loss`` at steps 0, 1, 1 and 2 of stage ``one`` and 0 of ``two`` (that of its step, plus a half),
        and one of ``final`` at 0.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    run = TrackedRun(folder.name, "check", folder, RECIPE)
    tracker = create()
    identifier = tracker.start(run)
    require(isinstance(identifier, str) and identifier != "", "start() must return the run's identifier")
    for step in (0, 1):
        tracker.scalars("one", step, {"loss": step + 0.5, "score/gap": float("nan")})
    tracker.texts("one", 1, SAMPLES)
    tracker.finish(completed=False)

    again = create()
    resumed = again.start(replace(run, identifier=identifier))
    require(resumed == identifier, f"a resumed run was named {resumed!r} instead of {identifier!r}")
    for step in (1, 2):
        again.scalars("one", step, {"loss": step + 0.5, "score/gap": 0.0})
    again.scalars("two", 0, {"loss": 0.5})
    again.scalars("final", 0, {"student, 1 calls, BLEU": 0.25})
    again.finish(completed=True)
    return identifier
