"""The page's sentences: a score that outputs can game is shown beside its correction."""

from typing import Any

import pytest

from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.results import Results, RowResult, ScoreResult
from dlmone.report.summary import _corrections
from dlmone.report.systems import Systems


def row(model: str, plain: float, adjusted: float, direction: str, **more: Any) -> RowResult:
    def score(value: float, corrects: str | None = None) -> ScoreResult:
        return ScoreResult(
            value=value, interval=None, direction=direction, signature="metric:x", corrects=corrects
        )

    return RowResult(
        model=model,
        kind=more.get("kind", "system"),
        samples=4,
        candidates=1,
        selector="first",
        calls=1,
        milliseconds_per_sample=None,
        provenance=Provenance(),
        scores={"perplexity": score(plain), "adjusted": score(adjusted, "perplexity")},
    )


@pytest.mark.parametrize(
    ("direction", "student", "human", "noted"),
    [
        ("lower", (8.0, 40.0), (30.0, 31.0), True),
        ("lower", (30.0, 31.0), (30.0, 31.0), False),
        ("lower", (30.0, 37.0), (30.0, 36.0), False),
        ("lower", (30.0, 20.0), (30.0, 31.0), False),
        ("higher", (0.8, 0.3), (0.7, 0.7), True),
        ("higher", (0.3, 0.8), (0.7, 0.7), False),
    ],
)
def test_a_corrected_score_is_noted_where_it_is_much_worse_than_human_texts(
    direction: str, student: tuple[float, float], human: tuple[float, float], noted: bool
) -> None:
    rows = [row("reference", *human, direction, kind="baseline"), row("mine", *student, direction)]
    sentences = list(_corrections(Systems.of(Results(bootstrap=None, rows=rows))))
    assert len(sentences) == noted
    if noted and direction == "lower":
        assert sentences == [
            "mine, 1 call has perplexity 8.000, but adjusted 40.0; reference: 30.0 and 31.0."
        ]


def test_without_a_baseline_the_correction_is_compared_with_none() -> None:
    [sentence] = _corrections(Systems.of(Results(bootstrap=None, rows=[row("mine", 8.0, 40.0, "lower")])))
    assert sentence == "mine, 1 call has perplexity 8.000, but adjusted 40.0."
