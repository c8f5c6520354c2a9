"""The space a diffusion language model lives in: how text becomes states and states become text."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .data import Example
from .errors import InputError
from .schedule import NoiseSchedule


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokenised examples.

    Attributes:
        ids: [B] example ids.
        tokens_BL: token ids, condition and target.
        target_BL: True where a token is generated, padding included; False where it is given.
    """

    ids: tuple[str, ...]
    tokens_BL: Tensor
    target_BL: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Batch":
        return replace(self, tokens_BL=self.tokens_BL.to(device), target_BL=self.target_BL.to(device))

    def __getitem__(self, rows: slice) -> "Batch":
        return Batch(self.ids[rows], self.tokens_BL[rows], self.target_BL[rows])


class Codec(nn.Module, ABC):
    """Text to tokens and back: all that is asked of the space of a writer that knows no diffusion."""

    #: Whether samples have a given part (a condition).
    conditional: bool

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """Tokenise examples to a batch on the CPU.

        Raises:
            InputError: an example does not fit (a condition longer than the sequence); the sentence
                names the example.
        """

    @abstractmethod
    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        """Return the generated part of each row as text, markers and padding removed."""

    @abstractmethod
    def source_text(self, batch: Batch) -> list[str]:
        """Return the given part of each row as text (empty where nothing is given)."""

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        """Return the batch with a blank token ([PAD]) before the given tokens where ``before_BL`` is True.

        The generated part moves back by as many positions, and loses them at its end. Markers that frame
        the condition are not counted as tokens of it: no blank goes before them.

        Raises:
            InputError: the space has no token that stands for nothing.
        """
        raise InputError(f"{type(self).__name__} has no blank token that could be put into a condition")


class Space(Codec):
    """What teacher, generator and score estimator share, and what a published student carries.

    States are [B, *state_shape]: token length × embedding width for most models, but nothing assumes it.
    Parameters of a space (an embedding table) are trained with the teacher and frozen in distillation.
    """

    schedule: NoiseSchedule
    #: Shape of one sample's state.
    state_shape: tuple[int, ...]

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return the clean states e = E(x) of a batch's tokens, [B, *state_shape], float32."""

    @abstractmethod
    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        """Return the token ids [B, L] that states stand for; given positions keep the batch's tokens."""

    @abstractmethod
    def generated(self, batch: Batch) -> Tensor:
        """Return which state entries are generated: bool, broadcastable to [B, *state_shape]."""

    def pin(self, state: Tensor, given: Tensor, batch: Batch) -> Tensor:
        """Return ``state`` with its given entries overwritten by those of ``given`` (appendix B.1.2)."""
        return torch.where(self.generated(batch), state, given)

    def round(self, state: Tensor) -> Tensor:
        """Return the nearest states that stand for tokens. A space without rounding returns ``state``."""
        return state

    def null_condition(self, batch: Batch) -> Batch:
        """Return the batch with its condition emptied, for guidance.

        Raises:
            InputError: the model was never trained without its condition.
        """
        raise InputError(
            f"{type(self).__name__} has no null condition: its model was never trained without one"
        )
