"""Selectors: minimum Bayes risk for every number of candidates, official for all of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlmone.core import InputError, Sample, Selector
from dlmone.evaluation.selection import CandidateSelector
from dlmone.plugins.diffuseq.outputs import DiffuSeqReader
from dlmone.plugins.selection.mbr import MbrSelector, utilities
from dlmone.plugins.selection.mbr import picks as mbr_picks
from dlmone.plugins.selection.options import MbrOptions
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot, SelectorSlot
from dlmone.testing import check_selector
from dlmone.testing.contracts.selectors import SharedWords

DATA = Path(__file__).parents[1] / "data" / "eval"
OUTPUTS = DiffuSeqReader().read(sorted((DATA / "samples").iterdir())).samples
OFFICIAL = json.loads((DATA / "official_metrics.json").read_text())["mbr"]
TEXTS = st.lists(st.text(st.sampled_from("abc "), max_size=6), min_size=4, max_size=4)
MBR = MbrSelector(MbrOptions())


def test_it_is_offered_and_keeps_its_contract():
    registry = Registry.discover()
    mbr = registry.create("selectors", SelectorSlot(use="mbr"))
    assert isinstance(mbr, Selector)
    assert mbr.utility == "bleu"
    samples = [
        Sample("0", "s", "a b", ("a c", "a b", "a b d", "x")),
        Sample("1", "s", "r", ("", "", "y", "y z")),
    ]
    check_selector(mbr, samples)


def test_bleu_mbr_is_the_official_one():
    samples = OUTPUTS
    bleu = Registry.discover().create("evaluators", EvaluatorSlot(use="bleu"))
    matrices = utilities([sample.candidates for sample in samples], bleu)
    np.testing.assert_allclose(matrices, OFFICIAL["pair_bleu_matrix"], rtol=0, atol=1e-9)
    picks = MBR.select(samples, bleu)
    assert picks[:, -1].tolist() == OFFICIAL["selected_index"]
    assert set(picks[:, 0].tolist()) == {0}


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_every_k_is_the_definition_applied_to_the_first_k(candidates):
    metric = SharedWords()
    samples = [Sample(str(i), "s", "r", tuple(texts)) for i, texts in enumerate(candidates)]
    picks = MBR.select(samples, metric)
    for sample, row in zip(samples, picks, strict=True):
        for k, pick in enumerate(row, start=1):
            texts = sample.candidates[:k]
            gains = [
                sum(metric.score_pairs([a], [b])[0] for j, b in enumerate(texts) if j != i)
                for i, a in enumerate(texts)
            ]
            # The definition's sum may round otherwise than the matrix's.
            assert gains[pick] == pytest.approx(max(gains))


def test_rows_are_summed_as_the_official_script_sums_them():
    u = np.random.default_rng(0).random((50, 10, 10))
    for k in range(1, 11):
        official = [int(np.argmax(np.sum(matrix[:k, :k].tolist(), -1))) for matrix in u]
        assert mbr_picks(u)[:, k - 1].tolist() == official


def test_the_first_wins_a_tie_and_equal_pairs_are_scored_once():
    class Counting(SharedWords):
        pairs: tuple = ()

        def score_pairs(self, outputs, references):
            self.pairs = (*self.pairs, *zip(outputs, references, strict=True))
            return super().score_pairs(outputs, references)

    metric = Counting()
    picks = MBR.select([Sample("0", "s", "r", ("x", "a b", "a b", "a b"))] * 2, metric)
    assert picks.tolist() == [[0, 0, 1, 1]] * 2
    assert sorted(metric.pairs) == sorted({("x", "a b"), ("a b", "x"), ("a b", "a b")})


def test_one_candidate_needs_no_comparison():
    class Never:
        def score_pairs(self, outputs, references):
            raise AssertionError

    assert MBR.select([Sample("0", "s", "r", ("only",))], Never()).tolist() == [[0]]


def test_mistakes():
    samples = [Sample("0", "s", "r", ("a", "b"))]
    with pytest.raises(InputError, match="by a metric, but was given none"):
        MBR.select(samples, None)
    with pytest.raises(InputError, match=r"one number of candidates .* got \[1, 2\]"):
        MBR.select([*samples, Sample("1", "s", "r", ("a",))], SharedWords())
    with pytest.raises(InputError, match="--k 3: there are 2 candidates per sample"):
        CandidateSelector(MBR, SharedWords(), "mbr-{k}").picks(samples, [1, 3])
    registry, slot = Registry.discover(), EvaluatorSlot(use="dist_1")
    with pytest.raises(InputError, match="dist_1 does not compare two texts"):
        CandidateSelector.of(
            registry, SelectorSlot(use="mbr"), lambda name: (slot, registry.create("evaluators", slot))
        )


class Fixed(Selector):
    """Chooses what a function of (samples, size) says."""

    def __init__(self, rule):
        self.rule = rule

    def select(self, samples, metric):
        size = len(samples[0].candidates)
        return np.array([[self.rule(samples, sample, k) for k in range(1, size + 1)] for sample in samples])


FAULTS = {
    "must return picks of shape": lambda samples, sample, k: [0, 0],
    "must be whole numbers": lambda *_: 0.0,
    "must be one of them": lambda samples, sample, k: k,
    "depends on the ones after them": lambda samples, sample, k: 0 if k == 1 else len(sample.candidates) % 2,
    "depends on the other samples": lambda samples, sample, k: 0 if k == 1 else len(samples) % 2,
    "depends on the reference": lambda samples, sample, k: 0 if k == 1 else len(sample.reference) % 2,
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_the_contract_check_finds(sentence):
    samples = [Sample(str(i), "s", "r", ("a", "b", "c")) for i in range(2)]
    check_selector(Fixed(lambda *_: 0), samples)
    with pytest.raises(AssertionError, match=sentence):
        check_selector(Fixed(FAULTS[sentence]), samples)
