"""Define a diffusion language model's space: how text becomes states and states become text."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..text.data import Example
from ..transfer import to_device
from .schedule import NoiseSchedule


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokenised examples.

    Attributes:
        ids: [B] example ids.
        tokens_BL: token ids, condition and target.
        target_BL: True where a token is generated, padding included; False where it is given.
        encoded: results of `Space.encode` for the conditions, by name, one row per sample.
        examples: what the rows were made of, where it is at hand: their targets are whole.
    """

    ids: tuple[str, ...]
    tokens_BL: Tensor
    target_BL: Tensor
    encoded: Mapping[str, Tensor] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "Batch":
        encoded = {name: to_device(states, device) for name, states in self.encoded.items()}
        tokens_BL, target_BL = to_device(self.tokens_BL, device), to_device(self.target_BL, device)
        return replace(self, tokens_BL=tokens_BL, target_BL=target_BL, encoded=encoded)

    def __getitem__(self, rows: slice) -> "Batch":
        encoded = {name: states[rows] for name, states in self.encoded.items()}
        ids, examples = self.ids[rows], self.examples[rows]
        return Batch(ids, self.tokens_BL[rows], self.target_BL[rows], encoded, examples)

    def where(self, chosen_B: Tensor, other: "Batch") -> "Batch":
        """Return the samples of this batch where ``chosen_B`` is True, and those of ``other`` elsewhere.

        Both are of the same examples, and both are encoded or neither is.
        """

        def mixed(own: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(chosen_B.view(-1, *([1] * (own.dim() - 1))), own, theirs)

        encoded = {name: mixed(states, other.encoded[name]) for name, states in self.encoded.items()}
        tokens_BL, target_BL = mixed(self.tokens_BL, other.tokens_BL), mixed(self.target_BL, other.target_BL)
        return Batch(self.ids, tokens_BL, target_BL, encoded)

    def without_target(self, token: int) -> "Batch":
        """Return the batch with ``token`` at every generated position, so that no reference remains."""
        return replace(self, tokens_BL=self.tokens_BL.masked_fill(self.target_BL, token))

    def insert(self, token: int, before_BL: Tensor, keep: int = 1) -> "Batch":
        """Return the batch, not encoded, with ``token`` given before each True position of ``before_BL``.

        Later tokens shift right, and the last positions of a row are cut off. At least ``keep`` generated
        positions remain: insertions that leave less room are dropped, the last ones first.
        """
        room_B1 = self.target_BL.sum(1, keepdim=True) - keep
        before_BL = before_BL & (before_BL.cumsum(1) <= room_B1)
        length = self.tokens_BL.shape[1]
        places_BL = torch.arange(length, device=before_BL.device) + before_BL.cumsum(1)
        # Tokens shifted past the end land in one extra column, which is cut off.
        shape, places_BL = (len(self), length + 1), places_BL.clamp(max=length)
        tokens_BL = self.tokens_BL.new_full(shape, token).scatter(1, places_BL, self.tokens_BL)
        target_BL = self.target_BL.new_zeros(shape).scatter(1, places_BL, self.target_BL)
        return Batch(self.ids, tokens_BL[:, :length], target_BL[:, :length], examples=self.examples)


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of an example a row keeps.

    Attributes:
        tokens: tokens of its texts, markers left out.
        unknown: how many of them the vocabulary does not know.
        source_cut, target_cut: how many of them the row has no room for.
    """

    tokens: int
    unknown: int = 0
    source_cut: int = 0
    target_cut: int = 0


class Codec(nn.Module, ABC):
    """Convert text to tokens and back. Generators that are not diffusion models need only this."""

    #: Whether samples have a given part (a condition).
    conditional: bool
    #: How `text` shows a token that stands for anything unknown; None if there is no such token.
    unknown: str | None = None

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> Batch:
        """Tokenise examples into a batch on the CPU.

        Raises:
            InputError: an example does not fit (a condition longer than the sequence); the message
                names the example.
        """

    def collate_conditions(self, examples: Sequence[Example]) -> Batch:
        """Tokenise examples to generate for: what is kept of a source never depends on its reference.

        No row holds a reference; the batch has them in its examples. A space whose `collate` cuts a source
        together with its target cuts the sources that are too long by themselves here.

        Raises:
            InputError: a condition does not fit, in a space that cuts none.
        """
        hidden = self.collate([replace(example, target="") for example in examples])
        return replace(hidden, examples=tuple(examples))

    @abstractmethod
    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        """Return the generated part of each row as text, markers and padding removed."""

    @abstractmethod
    def source_text(self, batch: Batch) -> list[str]:
        """Return the given part of each row as text (empty where nothing is given)."""

    def reference_text(self, batch: Batch) -> list[str]:
        """Return the reference of each row as text, read and written by the tokeniser like any output.

        It is whole where the batch has its examples; otherwise it is what the row had room for. What does
        not fit with its reference, in a space that cuts none, is the reference as it is given.
        """
        if batch.examples:
            try:
                batch = self.collate(batch.examples)
            except InputError:
                return [" ".join(example.target.split()) for example in batch.examples]
        return self.text(batch.tokens_BL, batch)

    def reading(self, example: Example, alone: bool = False) -> Reading | None:
        """Return what `collate` keeps of an example; None where a space does not say.

        With ``alone`` its source is read as `collate_conditions` reads it. What is cut of the target then has
        no place among the positions that are left to generate.

        Raises:
            InputError: the example does not fit.
        """
        return None

    def source_tokens(self, batch: Batch) -> Tensor:
        """Return which tokens belong to the condition's text, [B, L] bool; markers around it do not."""
        return ~batch.target_BL

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        """Return the batch with a blank token ([PAD]) inserted before the tokens where ``before_BL`` is True.

        Only positions in `source_tokens` count. The generated part shifts right by as many positions and is
        cut at its end; blanks that would leave no room for it are dropped.

        Raises:
            InputError: the space has no blank token.
        """
        raise InputError(f"{type(self).__name__} has no blank token that could be put into a condition")


class Space(Codec):
    """The space that teacher, generator and score estimator share, saved with a published student.

    States are [B, *state_shape]: token length × embedding width for most models, but nothing assumes it.
    Parameters of a space (an embedding table) are trained with the teacher and frozen in distillation.
    """

    schedule: NoiseSchedule
    #: Shape of one sample's state.
    state_shape: tuple[int, ...]
    #: The token that replaces the reference when only a condition is embedded.
    hidden_token: int = 0

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return the clean states e = E(x) of a batch's tokens, [B, *state_shape], float32."""

    def encode(self, batch: Batch) -> Batch:
        """Return the batch with results computed once per condition, such as a source encoder's states.

        A batch is encoded once, before any network call, in distillation and in inference; a teacher's
        `training_loss` gets its batch unencoded, so that it can train the encoder. A space that keeps its
        conditions in the states need not override it.
        """
        return batch

    def embed_condition(self, batch: Batch) -> Tensor:
        """Return states whose given entries hold the condition, [B, *state_shape]; ignore the other entries.

        The reference is hidden first, so that it cannot leak: with contextual embeddings, `embed` at given
        entries depends on all tokens.
        """
        return self.embed(batch.without_target(self.hidden_token))

    @abstractmethod
    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        """Return the token ids [B, L] that states stand for; given positions keep the batch's tokens.

        Raises:
            InputError: the network reads the tokens of these states (`Denoiser.decode`).
        """

    def scores(self, state: Tensor, batch: Batch) -> Tensor:
        """Return scores of tokens [B, L, V] whose arg max is `decode`: one static expression, for a graph.

        Raises:
            InputError: this space decodes in another way.
        """
        raise InputError(f"{type(self).__name__} has no scores of tokens, which an exported graph decodes by")

    @abstractmethod
    def generated(self, batch: Batch) -> Tensor:
        """Return which state entries are generated: bool, broadcastable to [B, *state_shape]."""

    def pin(self, state: Tensor, given: Tensor, batch: Batch) -> Tensor:
        """Return ``state`` with its given entries overwritten by those of ``given`` (appendix B.1.2)."""
        return torch.where(self.generated(batch), state, given)

    def round(self, state: Tensor) -> Tensor:
        """Return the nearest states that represent tokens. A space without rounding returns ``state``."""
        return state

    def blank(self, state: Tensor, batch: Batch) -> Tensor:
        """Return which entries of a state are blank ([PAD]): bool, broadcastable to the state.

        A space without padding has none.
        """
        return torch.zeros_like(self.generated(batch))

    def null_condition(self, batch: Batch) -> Batch:
        """Return the batch, not encoded, with its condition emptied, for guidance.

        A null condition that is no tokens but states, such as zeros, is returned in ``encoded``, where
        `embed_condition` finds it.

        Raises:
            InputError: the model was not trained without its condition.
        """
        raise InputError(
            f"{type(self).__name__} has no null condition: its model was never trained without one"
        )

    def encoded_null(self, batch: Batch) -> Batch:
        """Return the batch with the null condition, encoded.

        Raises:
            InputError: the model was not trained without its condition.
        """
        null = self.null_condition(replace(batch, encoded={}))
        return null if null.encoded else self.encode(null)
