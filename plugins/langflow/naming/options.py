"""How the tokens of a sequence are named together, by a linear chain over them."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ChainOptions(BaseModel):
    """A chain's weights: of logits, and of which token follows which.

    The defaults were chosen on validation questions of QQP.

    Attributes:
        weight: of log P(token | the one before) beside log p(token), for a model that has `pairs`.
        bonus: added for each token that is no marker; a product of probabilities favours short texts.
        copy_penalty: taken off each pair of neighbouring tokens that the condition has too, so that a
            paraphrase is not nearly its source; markers aside.
        copy_floor: log P, at least, of a pair of neighbouring tokens that the condition has. Names and words
            of several tokens are seldom among the pairs that a model keeps; without it they are not said.
        repeats: whether a token may follow itself.
        top_k: how many of a position's likeliest tokens are considered.
        temperature: at 0, the likeliest sequence. At T, one drawn with probability ∝ exp(score/T), so that
            candidates of one network call differ.
        draws: how many sequences are drawn from the same logits. Of several, the one that has most in common
            with the others is kept (minimum Bayes risk); those that are nearly the condition are passed over.
        coverage: in that choice, the weight of how much of the condition a draw says, where what the draws
            have in common is between 0 and 1. The common denominator of many draws is short and leaves out
            what is rare. How rare a token is, `pairs` say: by how many different tokens it follows.
        known: in that choice, the weight of the share of a draw's tokens that the training data have between
            the same neighbours, for a model that has `triples`. Pairs alone do not make a sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weight: float = Field(default=0.4, ge=0)
    bonus: float = 1.0
    copy_penalty: float = Field(default=0.0, ge=0)
    copy_floor: float | None = Field(default=None, le=0)
    repeats: bool = False
    top_k: int = Field(default=16, ge=2, le=1_000)
    temperature: float = Field(default=0.0, ge=0)
    draws: int = Field(default=1, ge=1, le=64)
    coverage: float = Field(default=0.0, ge=0, le=50)
    known: float = Field(default=0.0, ge=0, le=50)

    @model_validator(mode="after")
    def _each_has_an_effect(self) -> Self:
        if self.copy_floor is not None and not self.weight:
            raise ValueError("copy_floor is a floor of pairs, which weight = 0 leaves out")
        if self.draws > 1 and not self.temperature:
            raise ValueError("draws are all alike at temperature 0; give a higher one, or 1 draw")
        for name in ("coverage", "known"):
            if getattr(self, name) and self.draws == 1:
                raise ValueError(f"{name} chooses among draws; give more than 1")
        return self

    def lacking(self, pairs: bool, triples: bool) -> tuple[str, str] | None:
        """Return an option that asks for counts that a model does not have, and which counts."""
        for option, counts, there in (
            ("weight", "pairs", pairs),
            ("coverage", "pairs", pairs),
            ("known", "triples", triples),
        ):
            if getattr(self, option) and not there:
                return option, counts
        return None

    def draw_shape(self, length: int) -> tuple[int, ...]:
        """Return the shape of the uniform numbers that name one sequence of L tokens; () for none."""
        if not self.temperature:
            return ()
        return (length,) if self.draws == 1 else (self.draws, length)
