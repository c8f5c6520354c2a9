"""The Selector contract: select one of several candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .evaluator import PairMetric, Sample


class Selector(ABC):
    """Selects among the candidates of a sample. A plugin's selector is constructed with its options."""

    #: The evaluator, by name, whose `PairMetric` the selector compares texts by; None where it needs none.
    utility: str | None = None

    @abstractmethod
    def select(self, samples: Sequence[Sample], metric: PairMetric | None) -> NDArray[np.intp]:
        """Return ``picks_NK``: ``picks_NK[n, k - 1]`` is selected among the first k candidates of sample n.

        All samples have the same number K of candidates, at least 1. References are not read: a selector
        also works without them.

        Args:
            samples: N samples, at least one.
            metric: what ``utility`` names; None where it is None.
        """
