"""ELF's space: the last hidden states of a frozen T5 encoder, one for each token."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Example, InputError, Reading, Space
from dlmone.core.transfer import on_host

from .encoder import hidden_states, visible
from .schedule import ElfSchedule
from .vocabulary import UNK, Vocabulary

#: The name of a batch's encoded condition.
CONDITION = "condition"


class ElfSpace(Space):
    """States are [B, L, D]. Rows are ``x </s> y </s>`` and padding, or without a condition ``y </s>``.

    The states of a condition x (given) do not depend on its target y. They are made once a batch, by
    `encode`. Tokens are read from states by the network: `ElfNetwork.decode`.

    Args:
        vocabulary: the tokenizer.
        encoder: T5's, frozen; None for a model without a condition that only generates.
        length: L.
        source_length: tokens of a condition at most; None for rows without one.
        width: D.
        padding: the token after a row's end, ``eos`` or ``pad``.
        latent_std: states are the encoder's divided by this.
        has_null: whether the model is trained without its condition too.
    """

    schedule: ElfSchedule

    def __init__(
        self,
        vocabulary: Vocabulary,
        encoder: nn.Module | None,
        *,
        length: int,
        source_length: int | None,
        width: int,
        padding: str = "eos",
        latent_std: float = 0.2,
        has_null: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.encoder = encoder
        self.schedule = ElfSchedule()
        self.state_shape = (length, width)
        self.source_length = source_length
        self.conditional = source_length is not None
        self.padding = vocabulary.eos if padding == "eos" else vocabulary.pad
        self.hidden_token = self.padding
        self.latent_std = latent_std
        self.has_null = has_null

    def train(self, mode: bool = True) -> "ElfSpace":
        """Set the mode; the encoder stays in evaluation mode."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    # -- text to states --------------------------------------------------------------------------------

    def collate(self, examples: Sequence[Example]) -> Batch:
        rows = [self.pack(*self._tokens(example)) for example in examples]
        tokens_BL, target_BL = (torch.stack(parts) for parts in zip(*rows, strict=True))
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, target_BL, examples=tuple(examples))

    def _tokens(self, example: Example) -> tuple[list[int], list[int]]:
        """Return the tokens of an example's texts, each with its end, none for the source of a model without.

        Raises:
            InputError: the example has a source, and the model takes none.
        """
        encode, end = self.vocabulary.encode, self.vocabulary.eos
        target = [*encode(example.target), end]
        if self.source_length is not None:
            return [*encode(example.source), end], target
        if example.source:
            raise InputError(f"example {example.id}: this model takes no condition, but it has one")
        return [], target

    def reading(self, example: Example, alone: bool = False) -> Reading:
        source, target = self._tokens(example)
        length, _ = self.state_shape
        # Of a target, what is read again is as much as the longest condition leaves room for (`answers`).
        room = length - (self.source_length or 0)
        cut = max(0, len(source) - 1 - (self.source_length or 0)), max(0, len(target) - 1 - room)
        tokens = [token for text in (source, target) for token in text[:-1]]
        unknown = self.vocabulary.backend.token_to_id(UNK)
        return Reading(len(tokens), sum(token == unknown for token in tokens), *cut)

    def reference_text(self, batch: Batch) -> list[str]:
        if not batch.examples:
            return super().reference_text(batch)
        encode, decode = self.vocabulary.encode, self.vocabulary.decode
        return [decode(encode(example.target)) for example in batch.examples]

    def pack(self, source: Sequence[int], target: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return a row's tokens [L] and which of them are generated [L]; both parts are cut as officially."""
        length, _ = self.state_shape
        given = list(source[: self.source_length]) if self.conditional else []
        tokens = [*given, *target][:length]
        tokens_L = torch.tensor(tokens + [self.padding] * (length - len(tokens)))
        return tokens_L, torch.arange(length) >= len(given)

    def valid(self, batch: Batch) -> Tensor:
        """Return which positions hold text, its end marker included, and not padding, [B, L] bool."""
        end_BL = batch.target_BL & (batch.tokens_BL == self.vocabulary.eos)
        return end_BL.cumsum(1) - end_BL.long() == 0

    def counted(self, batch: Batch) -> Tensor:
        """Return which positions a training loss counts, [B, L] bool: padding, where it is learned."""
        learned = self.padding == self.vocabulary.eos
        return batch.target_BL if learned else batch.target_BL & self.valid(batch)

    def embed(self, batch: Batch) -> Tensor:
        return self.states(batch)

    def states(self, batch: Batch, kept_B: Tensor | None = None) -> Tensor:
        """Return the states of a batch's tokens [B, L, D]; where ``kept_B`` is False, without the condition.

        Raises:
            InputError: the model was converted without its encoder.
        """
        if self.encoder is None:
            raise InputError("this model has no T5 encoder: it generates, but it cannot read texts")
        seen_BLL = visible(batch.target_BL, self.valid(batch), kept_B)
        x_BLD = hidden_states(self.encoder, batch.tokens_BL, seen_BLL) / self.latent_std
        if kept_B is None:
            return x_BLD
        return x_BLD.masked_fill(~(kept_B[:, None] | batch.target_BL)[..., None], 0)

    def encode(self, batch: Batch) -> Batch:
        if CONDITION in batch.encoded or not self.conditional:
            return batch
        return replace(batch, encoded={CONDITION: super().embed_condition(batch)})

    def embed_condition(self, batch: Batch) -> Tensor:
        if not self.conditional:
            return torch.zeros(len(batch), *self.state_shape, device=batch.tokens_BL.device)
        return self.encode(batch).encoded[CONDITION]

    def null_condition(self, batch: Batch) -> Batch:
        """Return the batch with zeros for the states of its condition, as dropped ones are in training."""
        if not self.has_null:
            return super().null_condition(batch)
        zeros = torch.zeros(len(batch), *self.state_shape, device=batch.tokens_BL.device)
        return replace(batch, encoded={CONDITION: zeros})

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[..., None]

    # -- states to text --------------------------------------------------------------------------------

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        """Raise InputError: the tokens of T5 states are read by the network."""
        raise InputError("ELF's states are decoded by its network (Denoiser.decode), not by its space")

    def answers(self, tokens_BL: Tensor, batch: Batch) -> Tensor:
        """Return the generated tokens of each row from its left, [B, N], with padding from the first </s> on.

        N is the room that the longest condition leaves, so that rows of any condition are cut alike.
        """
        length, _ = self.state_shape
        given_B1 = (~batch.target_BL).sum(1, keepdim=True)
        places_BN = given_B1 + torch.arange(length - (self.source_length or 0), device=tokens_BL.device)
        answers_BN = tokens_BL.gather(1, places_BN)
        ended_BN = (answers_BN == self.vocabulary.eos).cumsum(1) > 0
        return answers_BN.masked_fill(ended_BN, self.vocabulary.pad)

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        return [self.vocabulary.decode(row) for row in self.answers(tokens_BL, batch).tolist()]

    def source_text(self, batch: Batch) -> list[str]:
        rows = zip(on_host(batch.tokens_BL), ~on_host(batch.target_BL), strict=True)
        return [self.vocabulary.decode(tokens_L[given_L].tolist()) for tokens_L, given_L in rows]

    def source_tokens(self, batch: Batch) -> Tensor:
        return ~batch.target_BL & (batch.tokens_BL != self.vocabulary.eos)
