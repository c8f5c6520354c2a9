"""The Augmenter contract: conditions varied at inference, so that outputs vary (Table 6)."""

from abc import ABC, abstractmethod

from ..model.space import Batch, Codec
from ..step.noise import Noise


class Augmenter(ABC):
    """Varies the given part of a batch. A plugin's augmenter is constructed with its options."""

    @abstractmethod
    def augment(self, batch: Batch, space: Codec, noise: Noise) -> Batch:
        """Return the batch with other conditions, one variation a candidate.

        All randomness comes from ``noise`` (one key a sample), so that a variation depends on the example
        and the candidate alone.

        Raises:
            InputError: conditions of this space cannot be varied so.
        """
