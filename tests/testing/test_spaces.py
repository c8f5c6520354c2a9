"""dlmone.testing.check_teacher finds each fault of a space and says so."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dlmone.testing import ToyTeacher, check_teacher
from dlmone.testing.toy import EXAMPLES

from .faults import patched
from .finds import Finds

SPACES: dict[str, Callable[[], ToyTeacher]] = {
    "collate() must keep ids": patched("space.collate", lambda _, b, *__: replace(b, ids=b.ids[::-1])),
    "target_BL is bool": patched("space.collate", lambda _, b, *__: replace(b, target_BL=b.target_BL * 1)),
    "must return float32 states of shape (4, 10, 4), not float64": patched(
        "space.embed", lambda _, e, *__: e.double()
    ),
    "states of shape (4, 10, 4), not float32 of shape (4, 9, 4)": patched(
        "space.embed", lambda _, e, *__: e[:, 1:]
    ),
    "round() must leave": patched("space.round", lambda _, e, *__: e.flip(1)),
    "bool that is broadcastable to (4, 10, 4), not float32": patched(
        "space.generated", lambda _, mask, *__: mask.float()
    ),
    "broadcastable to (4, 10, 4), not bool of shape (4, 10)": patched(
        "space.generated", lambda _, mask, *__: mask[..., 0]
    ),
    "pin() must overwrite": patched("space.pin", lambda _, right, state, *__: state),
    "decode() must keep": patched("space.decode", lambda _, tokens_BL, *__: 0 * tokens_BL),
    "decode(embed(batch)) must be": patched(
        "space.decode", lambda _, right, state, batch: torch.where(batch.target_BL, 0, batch.tokens_BL)
    ),
    "text() of 'rain' must be 'explain rain to me' without any marker": patched(
        "space.text", lambda _, texts, *__: [f"{text} [PAD]" for text in texts]
    ),
    "source_text() of 'rain'": patched("space.source_text", lambda _, texts, *__: texts[::-1]),
    "embed_condition() depends on the reference": patched(
        "space.embed_condition", lambda toy, _, batch: toy.space.embed(batch).cumsum(1).flip(1)
    ),
    "encode() depends on the reference": patched(
        "space.encode", lambda toy, _, batch: replace(batch, encoded={"all": toy.space.embed(batch)})
    ),
    "null_condition() must keep the generated tokens": patched(
        "space.null_condition", lambda _, null, *__: replace(null, tokens_BL=0 * null.tokens_BL)
    ),
    "null_condition() must keep ids and target_BL": patched(
        "space.null_condition", lambda _, null, *__: replace(null, target_BL=~null.target_BL)
    ),
}


@pytest.mark.parametrize("sentence", SPACES)
def test_spaces(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(SPACES[sentence], EXAMPLES)
