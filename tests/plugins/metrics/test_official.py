"""Every number equals that of the official DiffuSeq evaluation script (see data/eval/README.md)."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlmone.plugins.diffuseq.outputs import DiffuSeqReader
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.diversity import DiversityEvaluator
from dlmone.plugins.metrics.options import BleuOptions, DiversityOptions, NoOptions, RougeLOptions
from dlmone.plugins.metrics.rouge import RougeLEvaluator
from dlmone.plugins.metrics.strings import clean
from dlmone.plugins.metrics.words import AvgLenEvaluator, Dist1Evaluator
from dlmone.plugins.selection.mbr import utilities

DATA = Path(__file__).parents[2] / "data" / "eval"
OFFICIAL = json.loads((DATA / "official_metrics.json").read_text())
SAMPLES = DiffuSeqReader().read(sorted((DATA / "samples").iterdir())).samples
FILES = range(3)

SENTENCE_METRICS = [
    (BleuEvaluator, "bleu", "bleu", 1e-9),
    (RougeLEvaluator, "rougeL", "rougeL_f", 1e-6),
    (Dist1Evaluator, "dist1", "dist1", 1e-9),
    (AvgLenEvaluator, "avg_len", "len_split_space", 0),
]

DEFAULTS = {BleuEvaluator: BleuOptions, RougeLEvaluator: RougeLOptions}


def one_file(file):
    """The samples as if the folder held that file only."""
    return [replace(sample, candidates=(sample.candidates[file],)) for sample in SAMPLES]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("evaluator", "mean", "each", "tolerance"), SENTENCE_METRICS)
def test_sentence_metrics(evaluator, mean, each, tolerance, file):
    [score] = evaluator(DEFAULTS.get(evaluator, NoOptions)()).evaluate(one_file(file))
    expected = OFFICIAL["per_file"][file]
    assert score.value == pytest.approx(expected[mean], abs=tolerance, rel=0)
    assert score.per_sample == pytest.approx(expected["per_sentence"][each], abs=tolerance, rel=0)


@pytest.mark.parametrize("file", FILES)
def test_cleaned_strings(file):
    expected = OFFICIAL["per_file"][file]["per_sentence"]
    cleaned = [clean(sample) for sample in SAMPLES]
    assert [sample.candidates[file] for sample in cleaned] == expected["recover_clean"]
    assert [sample.reference for sample in cleaned] == expected["reference_clean"]


def test_diversity():
    self_bleu, div_4 = DiversityEvaluator(DiversityOptions()).evaluate(SAMPLES)
    expected = OFFICIAL["diversity"]
    assert (self_bleu.name, div_4.name) == ("self_bleu", "div_4")
    assert self_bleu.value == pytest.approx(expected["self_bleu"], abs=1e-9, rel=0)
    assert self_bleu.per_sample == pytest.approx(expected["per_set_self_bleu"], abs=1e-9, rel=0)
    assert div_4.value == pytest.approx(expected["div4"], abs=1e-9, rel=0)
    assert div_4.per_sample == pytest.approx(expected["per_set_div4"], abs=1e-9, rel=0)


def test_mbr():
    expected = OFFICIAL["mbr"]
    matrices = utilities([sample.candidates for sample in SAMPLES], BleuEvaluator(BleuOptions()))
    assert matrices == pytest.approx(np.array(expected["pair_bleu_matrix"]), abs=1e-9, rel=0)
    assert matrices.sum(-1).argmax(-1).tolist() == expected["selected_index"]


@pytest.mark.parametrize(
    ("evaluator", "name", "tolerance"),
    [(BleuEvaluator, "bleu", 1e-9), (RougeLEvaluator, "rougeL", 1e-6), (Dist1Evaluator, "dist1", 1e-9)],
)
def test_metrics_of_mbr_choices(evaluator, name, tolerance):
    chosen = [
        replace(sample, candidates=(sample.candidates[index],))
        for sample, index in zip(SAMPLES, OFFICIAL["mbr"]["selected_index"], strict=True)
    ]
    [score] = evaluator(DEFAULTS.get(evaluator, NoOptions)()).evaluate(chosen)
    assert score.value == pytest.approx(OFFICIAL["mbr"][name], abs=tolerance, rel=0)
