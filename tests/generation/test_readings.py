"""dlmone/generation: what is cut is counted, references are whole, and a source never depends on its own."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from dlmone.core import Codec, Evaluator, Example, Reading, Sample, Score
from dlmone.core.model.schedule import discrete_schedule
from dlmone.generation.inference import collate_fitting, generate_samples
from dlmone.generation.readings import survey
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.space import DiffuSeqSpace
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.text import Vocabulary
from dlmone.plugins.tokenizers.words import words
from dlmone.registry.schema import Validation
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import toy_teacher
from dlmone.training.validation import Validator

LETTERS = " ".join("abcdefghijklmnop")
COMPUTE = Compute(torch.device("cpu"), bfloat16=False, world=World())
SQRT = discrete_schedule("sqrt", 10)


class Length(Evaluator):
    """The mean number of words of the first candidates."""

    def evaluate(self, samples: list[Sample]) -> list[Score]:
        words = sum(len(sample.candidates[0].split()) for sample in samples)
        return [Score("words", words / len(samples), "words", "neither")]


def diffuseq(length: int = 12) -> Codec:
    return DiffuSeqSpace(Tokenizer(words([LETTERS])), SQRT, seq_len=length, hidden_dim=4)


def langflow(length: int = 12, conditional: bool = True) -> Codec:
    options = LangFlowOptions(length=length, width=8, condition=8, layers=1, heads=2, conditional=conditional)
    return LangFlowTeacher(options, Vocabulary(words([LETTERS]))).space


@pytest.fixture(params=[diffuseq, langflow], ids=["diffuseq", "langflow"])
def space(request: pytest.FixtureRequest) -> Codec:
    made: Codec = request.param()
    return made


LONG = Example("long", "a b c", LETTERS)
FITS = Example("fits", "a b", "c z")


def kept_of_target(space: Codec, example: Example) -> str:
    batch = replace(space.collate([example]), examples=())
    return space.text(batch.tokens_BL, batch)[0]


def test_a_reading_counts_what_a_row_leaves_out(space: Codec) -> None:
    reading = space.reading(LONG)
    assert reading is not None
    kept = kept_of_target(space, LONG)
    assert reading.tokens == 3 + 16
    assert reading.target_cut == 16 - len(kept.split()) > 0
    assert reading.source_cut == 0
    assert space.reading(FITS) == Reading(4, 1)


def test_diffuseq_cuts_the_longer_side_and_says_which() -> None:
    reading = diffuseq().reading(Example("1", LETTERS, "a"))
    assert reading is not None
    assert (reading.tokens, reading.target_cut) == (17, 0)
    assert reading.source_cut == 16 - len(
        diffuseq().source_text(diffuseq().collate([Example("1", LETTERS, "a")]))[0].split()
    )


def test_references_are_whole(space: Codec) -> None:
    batch = space.collate([LONG, FITS])
    assert space.reference_text(batch) == [LETTERS, "c [UNK]"]
    assert kept_of_target(space, LONG) != LETTERS
    assert space.reference_text(batch[1:]) == ["c [UNK]"]
    assert space.reference_text(batch.to("cpu")) == [LETTERS, "c [UNK]"]


def test_a_space_of_another_plugin_gives_whole_references_too() -> None:
    space = toy_teacher().space
    one, two, *_ = (word for word in space.words if word.isalpha())
    examples = [Example("1", one, f"{two} {one}")]
    hidden, _ = collate_fitting(space, examples)
    assert hidden is not None
    batch = space.collate(examples)
    assert space.reference_text(hidden) == space.text(batch.tokens_BL, batch) == [f"{two} {one}"]
    too_long = Example("1", one, " ".join([one] * 99))
    hidden, _ = collate_fitting(space, [too_long])
    assert hidden is not None
    assert space.reference_text(hidden) == [too_long.target]


@pytest.mark.parametrize("reference", ["", "a", LETTERS])
def test_what_is_kept_of_a_source_never_depends_on_its_reference(space: Codec, reference: str) -> None:
    source = "a b c d e f"
    batch, misfits = collate_fitting(space, [Example("1", source, reference)])
    assert batch is not None
    assert misfits == []
    assert space.source_text(batch) == [source]
    assert space.reference_text(batch) == [reference]
    # The reference is not in the tokens either.
    assert space.text(batch.tokens_BL, batch) == [""]


def test_a_survey_says_how_many_are_cut_on_which_side_and_by_how_much() -> None:
    space = diffuseq()
    found = survey(space, [LONG, FITS, Example("3", LETTERS, "a"), replace(FITS, id="4")])
    assert (found.sources_cut, found.targets_cut, found.unknown, found.tokens) == (1, 1, 2, 44)
    cut, unknown, *rest = found.notes
    assert re.fullmatch(
        r"1 source and 1 target of 4 examples are too long and cut, by \d+ tokens \(\d+\.\d%\)", cut
    )
    assert unknown == "4.55% of the tokens are unknown to the vocabulary"
    assert rest == ["50% of the targets come back in other letters"]
    assert survey(space, [Example("1", "a", "b")]).notes == []


def test_a_survey_says_what_does_not_fit_and_what_loses_its_case() -> None:
    examples = [Example("1", "a", "a"), Example("2", "", "A B"), Example("3", "", "b")]
    found = survey(langflow(conditional=False), examples)
    first, second = found.notes
    assert first.startswith("1 of 3 examples do not fit; the first: example 1: it has a source, but")
    assert second == "33% of the targets come back in another case"


def test_a_survey_of_a_large_split_looks_at_some_evenly() -> None:
    found = survey(diffuseq(), [replace(LONG, id=str(i)) for i in range(100)], most=10)
    assert (found.examples, found.total, found.targets_cut) == (10, 100, 10)
    assert found.cut.startswith("10 targets of 10 examples looked at, of 100 are too long")


@pytest.mark.parametrize("source", ["", "a b c", "a b c d e f g", LETTERS, f"{LETTERS} {LETTERS}"])
def test_diffuseq_cuts_the_sources_of_rows_to_generate_for_by_themselves(source: str) -> None:
    """Short ones are whole; of those that leave no room, as much is kept as of two such texts in training."""
    space = diffuseq()
    rows = [space.collate_conditions([Example("1", source, target)]) for target in ("", "a", LETTERS)]
    assert len({row.tokens_BL.numpy().tobytes() + row.target_BL.numpy().tobytes() for row in rows}) == 1
    assert [space.reference_text(row) for row in rows] == [[""], ["a"], [LETTERS]]
    [kept] = space.source_text(rows[0])
    half = space.collate([Example("1", source, source)])
    fits = collate_fitting(space, [Example("1", source, "")])[0] is not None
    assert [kept] == ([source] if fits else space.source_text(half))
    reading = space.reading(Example("1", source, LETTERS), alone=True)
    assert reading is not None
    assert reading.source_cut == len(source.split()) - len(kept.split())
    markers = 5  # [CLS] x [SEP] [SEP] [CLS] y [SEP], but for the last, for which training alone makes room
    assert reading.target_cut == max(0, 16 + 2 - (12 - len(kept.split()) - markers + 2))


def test_runs_validate_and_evaluate_with_sources_that_do_not_depend_on_references() -> None:
    options = DiffuSeqOptions(
        seq_len=12, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
    )
    pairs = [Example(str(n), source, LETTERS) for n, source in enumerate(("a b c d e f", LETTERS, "a"))]
    generator = DiffuSeqTeacher.build(options, pairs).new_generator(1490)
    others = [replace(pair, target="a") for pair in pairs]

    def sources(examples: list[Example], **settings: Any) -> list[str]:
        found = generate_samples(generator, examples, COMPUTE, **settings).samples
        assert [sample.reference for sample in found] == [example.target for example in examples]
        return [sample.source for sample in found]

    def validated_sources(examples: list[Example]) -> list[str]:
        validator = Validator(Validation(), "stages.a", {"length": Length()}, examples, COMPUTE, seed=0)
        return [sample.source for sample in validator(generator, 1).samples]

    assert validated_sources(pairs) == validated_sources(others) == sources(pairs) == sources(others)
    assert sources(pairs)[0] == pairs[0].source
    assert sources(pairs, truncation="pair") != sources(others, truncation="pair")
    space = generator.space
    assert sources(pairs, truncation="pair") == space.source_text(space.collate(pairs))


def test_a_survey_of_what_is_generated_for_counts_what_is_cut_there() -> None:
    examples = [Example("1", "a b c d e f", LETTERS), Example("2", LETTERS, "a")]
    trained, generated = survey(diffuseq(), examples), survey(diffuseq(), examples, alone=True)
    assert (trained.sources_cut, generated.sources_cut) == (2, 1)
    assert generated.refused == (0, "")
