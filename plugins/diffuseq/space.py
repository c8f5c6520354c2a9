"""DiffuSeq's space: texts merged to one sequence of tokens, tokens embedded by a learned table."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, InputError, NoiseSchedule, Reading, Space
from dlmone.core.transfer import on_host
from dlmone.plugins.bert.tokenizer import Tokenizer

from .rounding import best_logit, nearest_row

#: The shortest target with content: [CLS], one token, [SEP].
MIN_TARGET = 3


class DiffuSeqSpace(Space):
    """States are embeddings [B, L, D] of the sequence ``[CLS] x [SEP] [SEP] [CLS] y [SEP] [PAD]…``.

    The embedding table and `lm_head` share one tensor, ``word_embedding.weight``; `lm_head` adds
    ``lm_head.bias``. Padding is generated like any other token.

    Args:
        tokenizer: a BERT-type tokenizer.
        schedule: the diffusion's noise schedule.
        seq_len: L.
        hidden_dim: D.
        vocab_size: rows of the table, at least the tokenizer's size (the default).
    """

    conditional = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        schedule: NoiseSchedule,
        *,
        seq_len: int,
        hidden_dim: int,
        vocab_size: int | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.unknown = tokenizer.unknown
        self.schedule = schedule
        self.seq_len = seq_len
        self.state_shape = (seq_len, hidden_dim)
        self.word_embedding = nn.Embedding(vocab_size or tokenizer.size, hidden_dim)
        # PyTorch's default for a Linear of this fan-in, which the official lm_head is.
        bound = hidden_dim**-0.5
        bias_V = torch.empty(self.word_embedding.num_embeddings).uniform_(-bound, bound)
        self.lm_head = nn.ParameterDict({"bias": nn.Parameter(bias_V)})

    # -- text to states --------------------------------------------------------------------------------

    def collate(self, examples: Sequence[Example]) -> Batch:
        return self._batch(examples, [self._row(example) for example in examples])

    def collate_conditions(self, examples: Sequence[Example]) -> Batch:
        return self._batch(examples, [self._condition(example) for example in examples])

    def _batch(self, examples: Sequence[Example], rows: Sequence[tuple[list[int], list[int]]]) -> Batch:
        tokens_BL = torch.full((len(rows), self.seq_len), self.tokenizer.pad_id)
        target_BL = torch.ones(len(rows), self.seq_len, dtype=torch.bool)
        for row, (source, target) in enumerate(rows):
            tokens_BL[row, : len(source) + len(target)] = torch.tensor(source + target)
            target_BL[row, : len(source)] = False
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, target_BL, examples=tuple(examples))

    def reading(self, example: Example, alone: bool = False) -> Reading:
        encode = self.tokenizer.encode
        whole = encode(example.source.strip()), encode(example.target.strip())
        if alone:
            source, _ = self._condition(example)
            target = whole[1][: self.seq_len - len(source)]
        else:
            source, target = self._row(example)
        tokens = [token for text in whole for token in text[1:-1]]
        # A condition in a row has one marker more than it has alone.
        cut = len(whole[0]) + 1 - len(source), len(whole[1]) - len(target)
        return Reading(len(tokens), sum(token == self.tokenizer.unk_id for token in tokens), *cut)

    def reference_text(self, batch: Batch) -> list[str]:
        if not batch.examples:
            return super().reference_text(batch)
        return [self.tokenizer.read_back(example.target.strip()) for example in batch.examples]

    def _row(self, example: Example) -> tuple[list[int], list[int]]:
        encode = self.tokenizer.encode
        source, target = merge(encode(example.source.strip()), encode(example.target.strip()), self.seq_len)
        # Truncation leaves a target its share, but without a target the condition could take all.
        if self.seq_len - len(source) < MIN_TARGET:
            raise InputError(
                f"example {example.id}: its source leaves no room for a target "
                f"in a sequence of {self.seq_len} tokens; shorten the source"
            )
        return source, target

    def _condition(self, example: Example) -> tuple[list[int], list[int]]:
        """Return the tokens of a source and of an empty target.

        If the source leaves no room for a target, it is cut to what training keeps of a pair of such sources.
        """
        source, empty = self.tokenizer.encode(example.source.strip()), self.tokenizer.encode("")
        fits = len(source) + 1 + MIN_TARGET <= self.seq_len
        kept, _ = merge(source, empty if fits else source, self.seq_len)
        return kept, empty

    def embed(self, batch: Batch) -> Tensor:
        return functional.embedding(batch.tokens_BL, self.word_embedding.weight)

    # -- states to tokens ------------------------------------------------------------------------------

    def logits(self, state_BLD: Tensor) -> Tensor:
        """Return the logits of tokens, x·Eᵀ + b, [B, L, V]."""
        return functional.linear(state_BLD, self.word_embedding.weight, self.lm_head["bias"])

    def scores(self, state: Tensor, batch: Batch) -> Tensor:
        return self.logits(state)

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        """Return the arg max of the logits: a dot product, unlike the distance in `round`."""
        best_N = best_logit(state.flatten(0, 1), self.word_embedding.weight, self.lm_head["bias"])
        return torch.where(batch.target_BL, best_N.view_as(batch.tokens_BL), batch.tokens_BL)

    def round(self, state: Tensor) -> Tensor:
        """Return the rows of the table nearest to each position in Euclidean distance, [B, L, D]."""
        nearest_N = nearest_row(state.flatten(0, 1), self.word_embedding.weight)
        return functional.embedding(nearest_N.view(state.shape[:2]), self.word_embedding.weight)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[..., None]

    def blank(self, state: Tensor, batch: Batch) -> Tensor:
        return (batch.target_BL & (self.decode(state, batch) == self.tokenizer.pad_id))[..., None]

    # -- conditions varied -----------------------------------------------------------------------------

    def source_tokens(self, batch: Batch) -> Tensor:
        own_BL = ~batch.target_BL
        for marker in (self.tokenizer.cls_id, self.tokenizer.sep_id):
            own_BL = own_BL & (batch.tokens_BL != marker)
        return own_BL

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        """Put a [PAD] before tokens of the condition; the target keeps at least `MIN_TARGET` positions."""
        return batch.insert(self.tokenizer.pad_id, before_BL & self.source_tokens(batch), keep=MIN_TARGET)

    # -- tokens to text --------------------------------------------------------------------------------

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        return [self.tokenizer.without_markers(text) for text in self.raw_text(tokens_BL, batch)]

    def source_text(self, batch: Batch) -> list[str]:
        given_BL = ~on_host(batch.target_BL)
        return [self.tokenizer.without_markers(text) for text in self._strings(batch.tokens_BL, given_BL)]

    def raw_text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        """Return the generated part as in official output files: markers kept, trailing [PAD] cut."""
        return self._strings(tokens_BL, batch.target_BL)

    def _strings(self, tokens_BL: Tensor, where_BL: Tensor) -> list[str]:
        rows = zip(on_host(tokens_BL), on_host(where_BL), strict=True)
        return [self.tokenizer.decode(tokens_L[where_L].tolist()) for tokens_L, where_L in rows]


def merge(source: list[int], target: list[int], seq_len: int) -> tuple[list[int], list[int]]:
    """Truncate two token sequences, each [CLS] … [SEP], so that together they fit, as the official code does.

    The longer one loses its last token; if they are equally long, both do (so a row can be one short of
    ``seq_len``). The condition ends in a double [SEP].
    """
    end = source[-1]
    kept, kept_of_target = len(source) - 1, len(target) - 1
    while kept + kept_of_target > seq_len - 3:
        excess = kept - kept_of_target
        if excess >= 0:
            kept -= 1
        if excess <= 0:
            kept_of_target -= 1
    return [*source[:kept], end, end], [*target[:kept_of_target], end]
