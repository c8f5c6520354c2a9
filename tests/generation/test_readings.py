"""dlmone/generation: what is cut is counted, references are whole, and a source never depends on its own."""

import re
from dataclasses import replace

import pytest

from dlmone.core import Codec, Example, Reading
from dlmone.core.model.schedule import discrete_schedule
from dlmone.generation.inference import collate_fitting
from dlmone.generation.readings import survey
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.space import DiffuSeqSpace
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.text import Vocabulary
from dlmone.plugins.tokenizers.words import words
from dlmone.testing import toy_teacher

LETTERS = " ".join("abcdefghijklmnop")
SQRT = discrete_schedule("sqrt", 10)


def diffuseq(length: int = 12) -> Codec:
    return DiffuSeqSpace(Tokenizer(words([LETTERS])), SQRT, seq_len=length, hidden_dim=4)


def langflow(length: int = 12) -> Codec:
    options = LangFlowOptions(length=length, width=8, condition=8, layers=1, heads=2, conditional=True)
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
    found = survey(langflow(), [Example("1", LETTERS, "a"), Example("2", "a", "A B"), Example("3", "a", "b")])
    first, second = found.notes
    assert first.startswith("1 of 3 examples do not fit; the first: example 1: its source leaves no room")
    assert second == "33% of the targets come back in another case"


def test_a_survey_of_a_large_split_looks_at_some_evenly() -> None:
    found = survey(diffuseq(), [replace(LONG, id=str(i)) for i in range(100)], most=10)
    assert (found.examples, found.total, found.targets_cut) == (10, 100, 10)
    assert found.cut.startswith("10 targets of 10 examples looked at, of 100 are too long")
