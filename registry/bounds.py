"""Whole numbers of a recipe, each with a bound beyond which nobody means it."""

from typing import Annotated

from pydantic import Field

#: Updates, or steps between two events: a run shows how far it is and how long it will take.
Updates = Annotated[int, Field(gt=0, le=10**9)]
#: The same, where none is a choice.
Delay = Annotated[int, Field(ge=0, le=10**9)]
#: Network calls or samples for one text: they are made one after another, with nothing to see between.
Calls = Annotated[int, Field(gt=0, le=10_000)]
#: Examples of a split.
Examples = Annotated[int, Field(gt=0, le=10**9)]
#: Samples computed at once: they have to fit into memory.
Batch = Annotated[int, Field(gt=0, le=1_000_000)]
#: Threads of one process; systems allow a few thousand to all processes together.
Threads = Annotated[int, Field(gt=0, le=512)]
