"""Options of the scores of unconditional text."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Orders = Annotated[tuple[Annotated[int, Field(ge=1, le=1_000)], ...], Field(min_length=1)]


class RepetitionOptions(BaseModel):
    """Repeated n-grams of each of ``orders``, in words."""

    model_config = ConfigDict(extra="forbid")

    #: Lengths of the n-grams in words, a score each.
    orders: Orders = (2, 4)


class NgramDistanceOptions(BaseModel):
    """The distance between n-grams of each of ``orders``, in words."""

    model_config = ConfigDict(extra="forbid")

    #: Lengths of the n-grams in words, a score each.
    orders: Orders = (1, 2, 3)
