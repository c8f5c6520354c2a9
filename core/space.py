"""The space a diffusion language model lives in: how text becomes states and states become text."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
        encoded: what `Space.encode` computed of the conditions, by name, a row a sample.
    """

    ids: tuple[str, ...]
    tokens_BL: Tensor
    target_BL: Tensor
    encoded: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Batch":
        encoded = {name: states.to(device) for name, states in self.encoded.items()}
        return Batch(self.ids, self.tokens_BL.to(device), self.target_BL.to(device), encoded)

    def __getitem__(self, rows: slice) -> "Batch":
        encoded = {name: states[rows] for name, states in self.encoded.items()}
        return Batch(self.ids[rows], self.tokens_BL[rows], self.target_BL[rows], encoded)

    def without_target(self, token: int) -> "Batch":
        """Return the batch with ``token`` at every generated position: nothing of a reference is left."""
        return replace(self, tokens_BL=self.tokens_BL.masked_fill(self.target_BL, token))

    def insert(self, token: int, before_BL: Tensor, keep: int = 1) -> "Batch":
        """Return the batch with ``token`` given before each place where ``before_BL`` is True, not encoded.

        What follows moves back, and rows lose their last places. ``keep`` generated ones stay in any case:
        of more insertions than that leaves room for, the first are made.
        """
        room_B1 = self.target_BL.sum(1, keepdim=True) - keep
        before_BL = before_BL & (before_BL.cumsum(1) <= room_B1)
        length = self.tokens_BL.shape[1]
        places_BL = torch.arange(length, device=before_BL.device) + before_BL.cumsum(1)
        # What goes past the end goes to one place too many, which is cut off.
        shape, places_BL = (len(self), length + 1), places_BL.clamp(max=length)
        tokens_BL = self.tokens_BL.new_full(shape, token).scatter(1, places_BL, self.tokens_BL)
        target_BL = self.target_BL.new_zeros(shape).scatter(1, places_BL, self.target_BL)
        return Batch(self.ids, tokens_BL[:, :length], target_BL[:, :length])


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

    def source_tokens(self, batch: Batch) -> Tensor:
        """Return which tokens are the condition's own, [B, L] bool: markers that frame it are not."""
        return ~batch.target_BL

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        """Return the batch with a blank token ([PAD]) put before the tokens where ``before_BL`` is True.

        Only `source_tokens` are looked at. The generated part moves back by as many positions, and loses
        them at its end; blanks that would leave no room for it are left out.

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
    #: The token that stands in a reference's place where a condition is embedded without it.
    hidden_token: int = 0

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return the clean states e = E(x) of a batch's tokens, [B, *state_shape], float32."""

    def encode(self, batch: Batch) -> Batch:
        """Return the batch with what is computed once of its conditions, such as a source encoder's states.

        Called once for each batch of a step and of inference, before any network call. A space whose
        conditions are in the states needs none.
        """
        return batch

    def embed_condition(self, batch: Batch) -> Tensor:
        """Return states whose given entries are the condition's, [B, *state_shape]; the others mean nothing.

        The reference is hidden first, so that no space can leak it: what `embed` returns at given entries may
        depend on all tokens it sees (contextual embeddings).
        """
        return self.embed(batch.without_target(self.hidden_token))

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

    def blank(self, state: Tensor, batch: Batch) -> Tensor:
        """Return which entries of a state stand for nothing ([PAD]): bool, broadcastable to the state.

        A space that fills no places has none.
        """
        return torch.zeros_like(self.generated(batch))

    def null_condition(self, batch: Batch) -> Batch:
        """Return the batch with its condition emptied, for guidance.

        Raises:
            InputError: the model was never trained without its condition.
        """
        raise InputError(
            f"{type(self).__name__} has no null condition: its model was never trained without one"
        )
