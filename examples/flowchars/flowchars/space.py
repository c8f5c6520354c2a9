"""The space: a line is a few words, and a word a patch of letters with fixed codes."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, FlowSchedule, InputError, Space

#: Ends a word, and fills the rest of its patch.
END = "\0"


class LetterSpace(Space):
    """States are [B, W, S·C]: W words of S letters, each letter a code of C numbers.

    Codes are random directions of one norm, drawn once and never trained. A linear layer, the readout,
    decodes them. It is trained with the teacher, on the network's predictions, so it learns to read blurred
    letters.

    Args:
        alphabet: the letters of all words.
        words: W, the maximum number of words in a line.
        letters: S, the maximum number of letters in a word.
        code: C, the width of a code.
        norm: norm of a code; the larger, the more noise hides a letter.
    """

    conditional = False
    codes_VC: Tensor

    def __init__(self, alphabet: str, words: int, letters: int, code: int, norm: float) -> None:
        super().__init__()
        self.schedule = FlowSchedule()
        self.alphabet = alphabet
        self.words, self.letters = words, letters
        self.state_shape = (words, letters * code)
        self.token_of = {letter: token for token, letter in enumerate(END + alphabet)}
        codes_VC = functional.normalize(torch.randn(len(self.token_of), code))
        self.register_buffer("codes_VC", norm * codes_VC)
        self.readout = nn.Linear(code, len(self.token_of))

    def collate(self, examples: Sequence[Example]) -> Batch:
        tokens_BL = torch.tensor([self._row(example) for example in examples])
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, torch.ones_like(tokens_BL, dtype=torch.bool))

    def _row(self, example: Example) -> list[int]:
        words = example.target.split()
        if example.source:
            raise InputError(f"example {example.id}: it has a source, but flowchars writes without one")
        if len(words) > self.words or any(len(word) > self.letters for word in words):
            limit = f"{self.words} words of {self.letters} letters"
            raise InputError(f"example {example.id}: {example.target!r} is longer than {limit}")
        if unknown := sorted(set("".join(words)) - set(self.alphabet)):
            raise InputError(f"example {example.id}: no training text has the letter {unknown[0]!r}")
        spelled = "".join(word.ljust(self.letters, END) for word in words)
        return [self.token_of[letter] for letter in spelled.ljust(self.words * self.letters, END)]

    def embed(self, batch: Batch) -> Tensor:
        codes_BLC = functional.embedding(batch.tokens_BL, self.codes_VC)
        return rearrange(codes_BLC, "b (w s) c -> b w (s c)", s=self.letters)

    def logits(self, state: Tensor) -> Tensor:
        """Return the logits of letters at each position of a state, [B, L, V]."""
        return self.readout(rearrange(state, "b w (s c) -> b (w s) c", s=self.letters)).float()

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        return self.logits(state).argmax(-1)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[:, :1, None]  # everything: there is no condition

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        patches_BWS = rearrange(tokens_BL, "b (w s) -> b w s", s=self.letters)
        return [" ".join(filter(None, map(self._word, row))) for row in patches_BWS.tolist()]

    def _word(self, patch: list[int]) -> str:
        letters = END + self.alphabet
        return "".join(letters[token] for token in patch).partition(END)[0]

    def source_text(self, batch: Batch) -> list[str]:
        return [""] * len(batch)
