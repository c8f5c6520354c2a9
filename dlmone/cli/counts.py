"""Whole numbers on the command line, each with a bound beyond which nobody means it.

Those of a recipe are in `registry/fields/bounds.py`.
"""

import click

#: Network calls or samples for one text.
CALLS = click.IntRange(min=1, max=10_000)
#: Texts computed at once: they have to fit into memory.
BATCH = click.IntRange(min=1, max=1_000_000)
#: Texts of a model that takes no condition.
SAMPLES = click.IntRange(min=1, max=1_000_000)
#: What a seed, a tensor and a file hold.
SEED = click.IntRange(min=-(2**63), max=2**63 - 1)
#: Threads of one process.
THREADS = click.IntRange(min=1, max=512)
#: Repetitions of a measurement, with progress and the time left.
RUNS = click.IntRange(min=1, max=1_000_000)
#: A port of the network.
PORT = click.IntRange(min=0, max=65_535)
#: Resamples: a p-value is a multiple of one part in so many.
RESAMPLES = click.IntRange(min=0, max=100_000)
#: Runs of one row of a grid.
SEEDS = click.IntRange(min=1, max=1_000)
#: Network passes of a run.
PASSES = click.IntRange(min=1, max=10**15)


class CountList(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Whole numbers as 1,2,4, each within a range."""

    name = "numbers"

    def __init__(self, each: click.IntRange) -> None:
        self.each = each

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.each(word.strip(), param, ctx) for word in value.split(","))
        except click.BadParameter:
            from dlmone.registry.explain import shortened

            wanted = f"whole numbers from {self.each.min:,} to {self.each.max:,}, as in 1,2,4"
            self.fail(f"expected {wanted}, found {shortened(value)!r}", param, ctx)
