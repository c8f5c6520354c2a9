"""MBR's matrix and the diffuseq family's non-neural metrics against nltk and torchmetrics, in one run.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py                 # 2,500 examples of 10 candidates
    OMP_NUM_THREADS=1 python benchmarks/metrics.py --examples 250

Both sides do what DiffuSeq's script does: pairwise BLEU of all candidates, the choice of one, BLEU, ROUGE-L,
Dist-1 and average length of the choices, self-BLEU and Div-4 of the first three candidates. One side calls
dlmone's evaluators; the other loops over nltk and torchmetrics as the script does, in full, but with
torchmetrics' function for its metric object, which keeps and copies what it was given before and takes longer
with every sentence. CPU seconds: the best of several rounds for dlmone, the only one for the loops, and the
largest difference of any value.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from nltk import ngrams
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from torchmetrics.functional.text.rouge import rouge_score

from dlmone.core.text.evaluator import Evaluator, Sample
from dlmone.plugins.metrics.bleu import BleuEvaluator
from dlmone.plugins.metrics.diversity import DiversityEvaluator
from dlmone.plugins.metrics.options import BleuOptions, DiversityOptions, NoOptions, RougeLOptions
from dlmone.plugins.metrics.rouge import RougeLEvaluator
from dlmone.plugins.metrics.words import AvgLenEvaluator, Dist1Evaluator
from dlmone.plugins.selection.mbr import utilities

VOCABULARY, DRAWS, SEED = 20_000, 3, 0


def sentences(examples: int, candidates: int) -> list[Sample]:
    """References of 5 to 25 words, by Zipf's law, and candidates that change half of their words."""
    draw = random.Random(SEED)
    words = [f"w{rank}" for rank in range(VOCABULARY)]
    frequencies = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))

    def some(count: int) -> list[str]:
        return draw.choices(words, cum_weights=frequencies, k=count)

    def changed(reference: list[str]) -> str:
        edits = draw.choices(["keep", "replace", "drop", "insert"], weights=[5, 3, 1, 1], k=len(reference))
        kept = zip(reference, edits, strict=True)
        return " ".join(
            part
            for word, edit in kept
            for part in {"keep": [word], "replace": some(1), "drop": [], "insert": [word, *some(1)]}[edit]
        )

    references = [some(min(25, max(5, round(draw.lognormvariate(2.4, 0.4))))) for _ in range(examples)]
    return [
        Sample(str(n), "", " ".join(words), tuple(changed(words) for _ in range(candidates)))
        for n, words in enumerate(references)
    ]


def nltk_bleu(output: str, reference: str) -> float:
    return float(
        sentence_bleu([reference.split()], output.split(), smoothing_function=SmoothingFunction().method4)
    )


def looped_matrix(texts: Sequence[str]) -> list[list[float]]:
    matrix = [[nltk_bleu(output, reference) for reference in texts] for output in texts]
    for i in range(len(texts)):
        matrix[i][i] = 0
    return matrix


def looped_dist_1(output: str) -> float:
    words = list(ngrams(output.split(), 1))
    return len(set(words)) / len(words) if words else 0.0


def looped_diversity(texts: Sequence[str]) -> tuple[float, float]:
    bleus = [nltk_bleu(texts[i], texts[j]) for i in range(len(texts)) for j in range(i + 1, len(texts))]
    grams = [gram for text in texts for gram in ngrams(text.split(), 4)]
    return float(np.mean(bleus)), len(set(grams)) / len(grams) if grams else 0.0


def looped_rouge_l(output: str, reference: str) -> float:
    return float(rouge_score(output, reference, rouge_keys="rougeL")["rougeL_fmeasure"])


def per_sample(evaluator: Evaluator, samples: Sequence[Sample]) -> list[tuple[float, ...] | None]:
    return [score.per_sample for score in evaluator.evaluate(samples)]


def clock(run: Callable[[], object], rounds: int) -> tuple[float, np.ndarray]:
    """Return the CPU seconds of the quickest round, and what it returned."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        result = run()
        seconds.append(time.process_time() - start)
    return min(seconds), np.asarray(result)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=2500)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of dlmone's side")
    args = parser.parse_args()

    drawn = sentences(args.examples, args.candidates)
    groups = [sample.candidates for sample in drawn]
    bleu = BleuEvaluator(BleuOptions())
    picks = utilities(groups, bleu).sum(-1).argmax(-1)
    chosen = [
        Sample(s.id, s.source, s.reference, (s.candidates[pick],))
        for s, pick in zip(drawn, picks, strict=True)
    ]
    pairs = [(s.candidates[0], s.reference) for s in chosen]
    plain = NoOptions()
    sides: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        f"MBR-{args.candidates} matrices": (
            lambda: utilities(groups, bleu),
            lambda: [looped_matrix(texts) for texts in groups],
        ),
        "BLEU": (
            lambda: per_sample(bleu, chosen),
            lambda: [[nltk_bleu(*pair) for pair in pairs]],
        ),
        "ROUGE-L": (
            lambda: per_sample(RougeLEvaluator(RougeLOptions()), chosen),
            lambda: [[looped_rouge_l(*pair) for pair in pairs]],
        ),
        "Dist-1": (
            lambda: per_sample(Dist1Evaluator(plain), chosen),
            lambda: [[looped_dist_1(output) for output, _ in pairs]],
        ),
        "average length": (
            lambda: per_sample(AvgLenEvaluator(plain), chosen),
            lambda: [[len(output.split(" ")) for output, _ in pairs]],
        ),
        "self-BLEU, Div-4": (
            lambda: per_sample(DiversityEvaluator(DiversityOptions(candidates=DRAWS)), drawn),
            lambda: np.transpose([looped_diversity(texts[:DRAWS]) for texts in groups]),
        ),
    }
    print(f"{args.examples} examples, {args.candidates} candidates; CPU seconds")
    print(f"{'':20}{'dlmone':>10}{'loops':>10}{'ratio':>8}{'difference':>12}")
    totals = np.zeros(2)
    for name, (fast, slow) in sides.items():
        quick, value = clock(fast, args.rounds)
        long, expected = clock(slow, 1)
        totals += quick, long
        difference = np.abs(value - expected).max()
        print(f"{name:20}{quick:10.3f}{long:10.2f}{long / quick:8.1f}{difference:12.1e}")
    print(f"{'all':20}{totals[0]:10.3f}{totals[1]:10.2f}{totals[1] / totals[0]:8.1f}")


if __name__ == "__main__":
    main()
