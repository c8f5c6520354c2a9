"""Whole numbers of a recipe, each with a bound beyond which nobody means it."""

from typing import Annotated

from pydantic import Field

#: The most network calls or samples for one text: they are made one after another, nothing seen between.
MOST_CALLS = 10_000
#: The most samples that are computed at once: they have to fit into memory.
MOST_AT_ONCE = 1_000_000
#: Updates, or steps between two events: a run shows how far it is and how long it will take.
Updates = Annotated[int, Field(gt=0, le=10**9)]
#: The same, where none is a choice.
Delay = Annotated[int, Field(ge=0, le=10**9)]
#: Network calls or samples for one text.
Calls = Annotated[int, Field(gt=0, le=MOST_CALLS)]
#: Examples of a split.
Examples = Annotated[int, Field(gt=0, le=10**9)]
#: Samples computed at once.
Batch = Annotated[int, Field(gt=0, le=MOST_AT_ONCE)]
#: Threads of one process; systems allow a few thousand to all processes together.
Threads = Annotated[int, Field(gt=0, le=512)]
