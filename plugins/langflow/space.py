"""LangFlow's space: rows of a learned table, all of one length, and mixtures of them.

States of unit variance: every row has norm √D, so the row nearest to a state is the one of the largest dot
product, and no token is easier to tell from noise than another.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import Batch, Example, InputError, Noise, Reading, Space
from dlmone.core.accelerator import scores_at_once
from dlmone.core.transfer import on_host

from .naming.chain import chained_tokens
from .naming.options import ChainOptions
from .naming.pairs import TokenPairs
from .naming.triples import TokenTriples
from .options import MIN_TARGET
from .schedule import GumbelParameters, GumbelSchedule
from .text import Vocabulary


class LangFlowSpace(Space):
    """States are [B, L, D]. Rows of tokens are ``[CLS] y [CLS] [PAD]…``, all of it generated, or with a
    condition ``[CLS] x [SEP]`` (given) and ``y [SEP] [PAD]…`` (generated, padding like any token).

    The official model saw neither padding nor [SEP]: its rows are cut from running text, and [CLS] stands
    between sentences. In text a line break stands there.

    Args:
        vocabulary: the tokenizer.
        proposal: the schedule's parameters, which this space owns.
        cutoff: of the schedule.
        length: L.
        width: D.
        source_length: tokens of a condition at most, its two markers included. What is kept of it never
            depends on its target.
        rows: rows of the table, the vocabulary's size by default.
        normalised: whether rows are scaled to norm √D.
        conditional: whether rows have a condition.
        has_null: whether the model is trained without its condition too.
        pairs, triples: how many pairs and triples of tokens are kept.
        chain: how tokens are named together; None for each by itself.
    """

    schedule: GumbelSchedule

    def __init__(
        self,
        vocabulary: Vocabulary,
        proposal: GumbelParameters,
        *,
        cutoff: float,
        length: int,
        width: int,
        source_length: int,
        rows: int | None = None,
        normalised: bool = True,
        conditional: bool = False,
        has_null: bool = False,
        pairs: int = 0,
        triples: int = 0,
        chain: ChainOptions | None = None,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.hidden_token = vocabulary.pad
        self.unknown = vocabulary.tokenizer.unknown
        self.proposal = proposal
        self.schedule = GumbelSchedule(proposal, cutoff)
        self.state_shape = (length, width)
        self.normalised = normalised
        self.conditional = conditional
        self.source_length = source_length
        self.has_null = has_null
        self.embedding = nn.Parameter(torch.empty(rows or vocabulary.size, width))
        nn.init.kaiming_uniform_(self.embedding, a=math.sqrt(5))
        self.pairs = TokenPairs(len(self.embedding), pairs) if pairs else None
        self.triples = TokenTriples(len(self.embedding), triples) if triples else None
        self.chain = chain

    # -- text to states --------------------------------------------------------------------------------

    def collate(self, examples: Sequence[Example]) -> Batch:
        length, _ = self.state_shape
        tokens_BL = torch.full((len(examples), length), self.vocabulary.pad)
        target_BL = torch.ones(len(examples), length, dtype=torch.bool)
        for row, example in enumerate(examples):
            given, target = self._row(example)
            tokens_BL[row, : len(given) + len(target)] = torch.tensor(given + target)
            target_BL[row, : len(given)] = False
        ids = tuple(example.id for example in examples)
        return Batch(ids, tokens_BL, target_BL, examples=tuple(examples))

    def _row(self, example: Example) -> tuple[list[int], list[int]]:
        """Return the given and the generated tokens of an example; what is too long of either is cut."""
        words, (length, _) = self.vocabulary, self.state_shape
        source = example.source.strip()
        if not self.conditional:
            if source:
                raise InputError(f"example {example.id}: it has a source, but this model writes without one")
            return [], [words.start, *words.encode_lines(example.target)[: length - 2], words.start]
        given = [words.start, *words.encode(source)[: self.source_length - 2], words.end]
        target = words.encode(example.target.strip())[: length - len(given) - 1]
        return given, [*target, words.end]

    def reading(self, example: Example, alone: bool = False) -> Reading:
        words, (given, target) = self.vocabulary, self._row(example)
        source = words.encode(example.source.strip())
        whole = words.encode(example.target.strip()) if given else words.encode_lines(example.target)
        # The row's target ends with a marker, and without a condition it begins with one too.
        cut = len(source) - max(0, len(given) - 2), len(whole) - (len(target) - (1 if given else 2))
        tokens = source + whole
        return Reading(len(tokens), sum(token == words.tokenizer.unk_id for token in tokens), *cut)

    def reference_text(self, batch: Batch) -> list[str]:
        if not batch.examples:
            return super().reference_text(batch)
        words, targets = self.vocabulary, [example.target for example in batch.examples]
        if self.conditional:
            return [words.decode(words.encode(target.strip())) for target in targets]
        return [words.decode_lines(words.encode_lines(target)) for target in targets]

    def rows(self) -> Tensor:
        """Return the table of states [V, D]: √D·raw/max(‖raw‖, 10⁻¹²), float32."""
        if not self.normalised:
            return self.embedding
        return math.sqrt(self.state_shape[1]) * functional.normalize(self.embedding, dim=1, eps=1e-12)

    def embed(self, batch: Batch) -> Tensor:
        return functional.embedding(batch.tokens_BL, self.rows())

    def mixture(self, probabilities_BLV: Tensor) -> Tensor:
        """Return p·E, the mean state of token probabilities, [B, L, D], in float32 under autocast too."""
        with torch.autocast(probabilities_BLV.device.type, enabled=False):
            return probabilities_BLV @ self.rows()

    # -- states to tokens ------------------------------------------------------------------------------

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        """Return the tokens of the nearest rows: argmax_v x·E_v − ‖E_v‖²/2."""
        rows_VD = self.rows().detach()
        offset_V = rows_VD.square().sum(1) / -2
        at_once = max(1, scores_at_once(state.device) // len(rows_VD))
        parts = torch.split(state.detach().flatten(0, 1).float(), at_once)
        with torch.autocast(state.device.type, enabled=False):
            best_N = torch.cat([torch.addmm(offset_V, part_ND, rows_VD.T).argmax(1) for part_ND in parts])
        return torch.where(batch.target_BL, best_N.view_as(batch.tokens_BL), batch.tokens_BL)

    def name_tokens(
        self,
        logits_BLV: Tensor,
        batch: Batch,
        chain: ChainOptions | None,
        noise: Noise,
        static: bool = False,
    ) -> Tensor:
        """Return the tokens [B, L] that a network's logits name; given positions keep theirs.

        With ``static`` it is one static expression, for an exported graph.

        Raises:
            InputError: the chain weighs pairs or triples, and this model has none.
        """
        if chain is None:
            return torch.where(batch.target_BL, logits_BLV.argmax(-1), batch.tokens_BL)
        words, pairs, triples = self.vocabulary, self.pairs, self.triples
        if lacking := chain.lacking(pairs is not None, triples is not None):
            option, counts = lacking
            why = f"this model has no {counts} of tokens (its recipe: `{counts}`)"
            raise InputError(f"chain.{option}: {why}; give 0")
        return chained_tokens(
            logits_BLV,
            batch,
            chain,
            None if pairs is None else pairs.log_probability,
            (words.start, words.end, words.pad),
            noise,
            information_V=None if pairs is None else -pairs.lower.log(),
            triples=None if triples is None else triples.known,
            static=static,
        )

    def scores(self, state: Tensor, batch: Batch) -> Tensor:
        rows_VD = self.rows()
        return functional.linear(state, rows_VD, rows_VD.square().sum(1) / -2)

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[..., None]

    def blank(self, state: Tensor, batch: Batch) -> Tensor:
        return (batch.target_BL & (self.decode(state, batch) == self.vocabulary.pad))[..., None]

    # -- conditions ------------------------------------------------------------------------------------

    def source_tokens(self, batch: Batch) -> Tensor:
        tokens_BL, words = batch.tokens_BL, self.vocabulary
        return ~batch.target_BL & (tokens_BL != words.start) & (tokens_BL != words.end)

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        """Put a [PAD] before tokens of the condition; of the target, `MIN_TARGET` places stay in any case."""
        return batch.insert(self.vocabulary.pad, before_BL & self.source_tokens(batch), keep=MIN_TARGET)

    def null_condition(self, batch: Batch) -> Batch:
        """Return the batch with [PAD] at every given position, as dropped conditions are in training."""
        return self.without_condition(batch) if self.has_null else super().null_condition(batch)

    def without_condition(self, batch: Batch) -> Batch:
        tokens_BL = batch.tokens_BL.masked_fill(~batch.target_BL, self.vocabulary.pad)
        return replace(batch, tokens_BL=tokens_BL)

    # -- tokens to text --------------------------------------------------------------------------------

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        texts = []
        words = self.vocabulary
        for tokens in _selected(tokens_BL, batch.target_BL):
            if not self.conditional:
                texts.append(words.decode_lines(tokens))
                continue
            end = tokens.index(words.end) if words.end in tokens else len(tokens)
            texts.append(words.decode(tokens[:end]))
        return texts

    def source_text(self, batch: Batch) -> list[str]:
        given_BL = ~on_host(batch.target_BL)
        return [self.vocabulary.decode(tokens) for tokens in _selected(batch.tokens_BL, given_BL)]


def _selected(tokens_BL: Tensor, where_BL: Tensor) -> list[list[int]]:
    """Return the tokens of each row where ``where_BL`` is True."""
    rows = zip(on_host(tokens_BL), on_host(where_BL), strict=True)
    return [tokens_L[where_L].tolist() for tokens_L, where_L in rows]
