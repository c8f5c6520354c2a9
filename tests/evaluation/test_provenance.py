"""What the samples are, as a score's signature says it; and tables that are made of such scores."""

from importlib.metadata import version

import numpy as np
import pytest

from dlmone.core import InputError, Sample, Selector
from dlmone.evaluation.comparison import align_samples, compare
from dlmone.evaluation.confidence import Resampling
from dlmone.evaluation.provenance import UNKNOWN, Provenance, describe_plugin
from dlmone.evaluation.results import FORMAT, Results, results
from dlmone.evaluation.scoring import score, score_baselines
from dlmone.evaluation.selection import CandidateSelector
from dlmone.models.configuration import fingerprint
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot, SamplerSlot

REGISTRY = Registry.discover()
HERE = Provenance.here("0123456789ab", "ddim(eta=0.5)", 20, 7)
SAMPLES = [
    Sample("a", "one two", "one two three", ("one two", "one")),
    Sample("b", "x y", "z", ("x y", "z")),
    Sample("c", "", "u v w", ("u v", "w")),
]


class Last(Selector):
    """Chooses the last of the candidates that it may see."""

    def select(self, samples, metric):
        return np.array([range(len(sample.candidates)) for sample in samples])


def evaluators(*names):
    return {name: REGISTRY.create("evaluators", EvaluatorSlot(use=name)) for name in names}


def test_everything_that_is_known_is_said():
    torch, dlmone = version("torch"), version("dlmone")
    assert HERE.signature(10, "mbr-4/bleu") == (
        "model:0123456789ab|sampler:ddim(eta=0.5)|augment:none|nfe:20|seed:7|drawn:10|selector:mbr-4/bleu"
        f"|written_by:dlmone-{dlmone},torch-{torch}"
    )


def test_what_is_not_known_is_said_too():
    assert UNKNOWN.signature(1) == (
        "model:unknown|sampler:unknown|augment:unknown|nfe:unknown|seed:unknown|drawn:1|selector:first|written_by:unknown"
    )


def test_what_kept_one_candidate_is_said_with_what_it_kept_it_of():
    kept = Provenance(augment="pad(share=0.5)", selector="mbr-10/bleu", drawn=10, precision="cpu float32")
    said = "|drawn:10|selector:mbr-10/bleu|precision:cpu float32|"
    assert said in kept.signature(1)
    assert "|augment:pad(share=0.5)|" in kept.signature(1)
    assert "|selector:mbr-1/ter of mbr-10/bleu|" in kept.signature(1, "mbr-1/ter")


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((103, 101, 102), "101-103"), ((1, 3, 4, 9), "1,3-4,9"), ((-1, 0), "-1-0"), ((), "none"), ((5,), "5")],
)
def test_seeds_in_short(seeds, text):
    assert f"|seed:{text}|" in Provenance(seeds=seeds).signature(1)


def test_a_plugin_is_described_by_its_changed_options():
    assert describe_plugin(REGISTRY, SamplerSlot(use="ddim")) == "ddim"
    assert (
        describe_plugin(REGISTRY, SamplerSlot(use="ddim", eta=0.0, rounding=False)) == "ddim(rounding=False)"
    )


def test_a_fingerprint_is_that_of_the_weights_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    assert fingerprint(tmp_path) == "ba7816bf8f01"  # sha256sum's, of the standard's own example
    with pytest.raises(InputError, match="the weights cannot be read"):
        fingerprint(tmp_path / "nowhere")


def test_a_score_carries_both_parts_and_a_choice_its_selector():
    row = score("mine", SAMPLES, HERE, evaluators("bleu", "diversity"))
    [bleu] = row.scores  # three candidates are too many to ask for
    assert bleu.signature.startswith("family:diffuseq|metric:bleu|")
    assert bleu.signature.endswith("|" + HERE.signature(2))
    last = CandidateSelector(Last(), None, "last-{k}")
    one, chosen = last.rows(row, evaluators("bleu", "copy_rate"))
    assert (one.selector, one.chosen_from, one.scores[0].value) == ("last-1", 1, bleu.value)
    assert (chosen.selector, chosen.chosen_from, chosen.title) == ("last-2", 2, "mine, last-2")
    assert [one.name for one in chosen.scores] == ["bleu", "copy_rate", "near_copy_rate"]
    assert chosen.scores[1].value == 0
    assert chosen.scores[0].signature.endswith("|" + HERE.signature(2, "last-2"))


def test_baselines_are_scored_by_the_same_code():
    row = score("mine", SAMPLES[:2], HERE, evaluators("bleu", "copy_rate"))
    copy, reference = score_baselines([row, row], evaluators("bleu", "copy_rate"))
    values = {one.model: {s.name: s.value for s in one.scores} for one in (copy, reference)}
    copies = [Sample("a", "s", "one two three", ("one two",)), Sample("b", "s", "z", ("x y",))]
    [by_hand] = score("copy", copies, HERE, evaluators("bleu")).scores
    assert values["copy"] == {"bleu": by_hand.value, "copy_rate": 1, "near_copy_rate": 1}
    assert values["reference"]["copy_rate"] == 0
    assert (copy.candidates, copy.calls, copy.kind) == (2, None, "baseline")
    assert "|model:copy|sampler:none|augment:none|nfe:0|seed:none|" in copy.scores[0].signature


def test_baselines_of_different_examples_are_told_apart_and_unconditional_samples_have_no_copy():
    first = score("first", SAMPLES[:2], HERE, evaluators("bleu"))
    second = score("second", SAMPLES[2:], HERE, evaluators("bleu"))
    names = [row.model for row in score_baselines([first, second], evaluators("bleu"))]
    assert names == ["copy, first", "reference, first", "reference, second"]


def test_results_keep_their_schema():
    row = score("mine", SAMPLES, HERE, evaluators("bleu", "sacrebleu", "distinct"))
    other = score("other", SAMPLES[::-1], HERE, evaluators("bleu", "sacrebleu"))
    other = score(
        "other", align_samples(other.samples, "other", SAMPLES, "mine"), HERE, evaluators("bleu", "sacrebleu")
    )
    resampling = Resampling(50)
    found = results(
        [row, other], resampling, [(row, other, compare(row, other, resampling))], per_sample=True
    )
    assert Results.model_validate_json(found.text()) == found
    assert found.format == FORMAT
    first = found.rows[0]
    assert first.ids == ["a", "b", "c"]
    assert first.scores["bleu"].per_sample == list(row.scores[0].per_sample)
    assert first.scores["sacrebleu"].interval is not None
    assert first.scores["sacrebleu"].per_sample is None
    # Distinct n-grams of a union do not add up, so nothing can be resampled.
    assert first.scores["corpus_distinct_1"].interval is None
    assert all(
        first.definition(name) + "|" + first.origin == one.signature for name, one in first.scores.items()
    )
    assert {one.score: one.difference for one in found.comparisons} == {"bleu": 0, "sacrebleu": 0}
    assert '"per_sample"' not in results([row], None).text()
    assert results([row], None).bootstrap is None


def test_systems_are_compared_on_the_same_examples_only():
    assert align_samples(SAMPLES[::-1], "a", SAMPLES, "b") == SAMPLES
    with pytest.raises(InputError, match=r"^a and b cannot be compared: only b has an example 'c'$"):
        align_samples(SAMPLES[:2], "a", SAMPLES, "b")
    with pytest.raises(InputError, match=r"only a has an example 'c'$"):
        align_samples(SAMPLES, "a", SAMPLES[:2], "b")
    marked = [Sample("a", "[CLS] One two [SEP]", "one two, three", ("x",)), *SAMPLES[1:]]
    assert align_samples(marked, "a", SAMPLES, "b") == marked
    swapped = [Sample("a", "one two", "another", ("x",)), *SAMPLES[1:]]
    with pytest.raises(InputError, match="'a' has another source or reference"):
        align_samples(swapped, "a", SAMPLES, "b")


def test_two_metrics_that_give_one_score_are_refused():
    with pytest.raises(InputError, match="bleu and mine both give a score 'bleu'"):
        score("x", SAMPLES, HERE, {**evaluators("bleu"), "mine": evaluators("bleu")["bleu"]})


def test_the_precision_of_older_files_is_read():
    old = UNKNOWN.model_dump(exclude={"precision"}) | {"arithmetic": "cpu bfloat16"}
    assert Provenance.model_validate(old) == Provenance(precision="cpu bfloat16")
