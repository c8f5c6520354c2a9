"""The space: text as patches of characters, coded by fixed vectors and read back by a learned layer."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, FlowSchedule, InputError, Space

#: Ends a text, and fills what is left of the row.
END = "\0"


class CharacterSpace(Space):
    """States are [B, N, P·C]: N patches of P neighbouring characters with a code of C numbers each.

    Codes are random, orthogonal where there are no more characters than C, and never trained. Reading is
    trained with the teacher: it learns to name characters that the network predicts blurred.

    Args:
        alphabet: the characters texts are made of.
        patches: N.
        patch: P.
        code: C.
        norm: the length of a code, which sets the noise level at which characters become hard to tell.
    """

    conditional = False

    def __init__(self, alphabet: str, *, patches: int, patch: int, code: int, norm: float) -> None:
        super().__init__()
        self.schedule = FlowSchedule()
        self.alphabet = alphabet
        self.token_of = {character: token for token, character in enumerate(END + alphabet)}
        self.patch = patch
        self.length = patches * patch
        self.state_shape = (patches, patch * code)
        codes_VC = functional.normalize(nn.init.orthogonal_(torch.empty(len(self.token_of), code)))
        self.register_buffer("codes_VC", norm * codes_VC)
        self.readout = nn.Linear(code, len(self.token_of))

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokens_BL = torch.tensor([self._row(example) for example in examples])
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, torch.ones_like(tokens_BL, dtype=torch.bool))

    def _row(self, example: Example) -> list[int]:
        if example.source:
            raise InputError(f"example {example.id}: it has a source, but flowchars writes without one")
        if len(example.target) > self.length:
            raise InputError(f"example {example.id}: its text is longer than {self.length} characters")
        if unknown := sorted(set(example.target) - set(self.alphabet)):
            raise InputError(f"example {example.id}: no training text has the character {unknown[0]!r}")
        return [self.token_of[character] for character in example.target.ljust(self.length, END)]

    def embed(self, batch: Batch) -> Tensor:
        codes_BLC = functional.embedding(batch.tokens_BL, self.codes_VC)
        return rearrange(codes_BLC, "b (n p) c -> b n (p c)", p=self.patch)

    def logits(self, state: Tensor) -> Tensor:
        """Return which character each code of a state stands for, [B, L, V]."""
        codes_BLC = rearrange(state, "b n (p c) -> b (n p) c", p=self.patch)
        return self.readout(codes_BLC).float()

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        return self.logits(state).argmax(-1)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[:, :1, None]  # all of it: nothing is ever given

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        characters = END + self.alphabet
        rows = ("".join(characters[token] for token in row) for row in tokens_BL.tolist())
        return [row.partition(END)[0] for row in rows]

    def source_text(self, batch: Batch) -> list[str]:
        return [""] * len(batch)
