"""plugins/elf/space.py and encoder.py: rows, masks and states as officially; no leak of the reference."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import dlmone
from dlmone.cli import main
from dlmone.core import Batch, Example, InputError, Reading
from dlmone.generation.readings import survey
from dlmone.models.folder import publish
from dlmone.plugins.elf.encoder import visible
from dlmone.plugins.elf.schedule import ElfSchedule, logit_normal
from dlmone.plugins.elf.space import ElfSpace
from dlmone.plugins.elf.teacher import ElfTeacher

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[..., Batch]
PREPARED = json.loads((Path(__file__).parents[2] / "data" / "elf" / "data_prep.json").read_text())
LENGTHS = (5, 12, 3, 8)  # of conditions, one of them cut


def space_of(small: ElfTeacher, small_text: ElfTeacher, kind: str) -> ElfSpace:
    return (small if kind == "conditional" else small_text).space


@pytest.mark.parametrize("kind", ["conditional", "unconditional"])
def test_rows_are_official(small: ElfTeacher, small_text: ElfTeacher, kind: str) -> None:
    space, wanted = space_of(small, small_text, kind), PREPARED[kind]["batch"]
    rows = [
        space.pack(item.get("condition_input_ids", []), item["input_ids"]) for item in PREPARED[kind]["items"]
    ]
    tokens_BL, target_BL = (torch.stack(parts) for parts in zip(*rows, strict=True))
    assert tokens_BL.tolist() == wanted["input_ids"]
    assert (~target_BL).float().tolist() == wanted["cond_seq_mask"]
    valid_BL = space.valid(Batch(tuple("abcd"), tokens_BL, target_BL))
    assert valid_BL.float().tolist() == wanted["attention_mask"]


@pytest.mark.parametrize("kind", ["conditional", "unconditional"])
def test_states_are_official(
    small: ElfTeacher, small_text: ElfTeacher, official: Official, batch_of: BatchOf, kind: str
) -> None:
    space, prefix = space_of(small, small_text, kind), "cond_" if kind == "conditional" else "uncond_"
    wanted = {
        key.removeprefix(prefix): value
        for key, value in official("encoder").items()
        if key.startswith(prefix)
    }
    batch = batch_of(wanted["input_ids"], wanted["cond_seq_mask"])
    seen_BLL = visible(batch.target_BL, space.valid(batch))
    assert torch.equal(seen_BLL.float(), wanted["encoder_attention_mask"])
    torch.testing.assert_close(space.embed(batch), wanted["x0"], rtol=0, atol=1e-5)
    torch.testing.assert_close(space.embed(batch) * 0.2, wanted["hidden"], rtol=0, atol=1e-5)
    if kind == "conditional":
        kept_B = torch.zeros(4, dtype=torch.bool)
        dropped_BLL = visible(batch.target_BL, space.valid(batch), kept_B)
        assert torch.equal(dropped_BLL.float(), wanted["encoder_attention_mask_all_dropped"])
        generated = space.generated(batch)
        wanted_BLD = torch.where(generated, wanted["x0_all_dropped"], 0)
        torch.testing.assert_close(space.states(batch, kept_B), wanted_BLD, rtol=0, atol=1e-5)


def test_all_attention_implementations_mask_alike(
    small_of: Callable[..., ElfTeacher], official: Official, batch_of: BatchOf
) -> None:
    wanted = official("encoder")
    batch = batch_of(wanted["cond_input_ids"], wanted["cond_cond_seq_mask"])
    for implementation in ("eager", "sdpa"):
        teacher = small_of()
        teacher.space.encoder.config._attn_implementation = implementation
        torch.testing.assert_close(teacher.space.embed(batch), wanted["cond_x0"], rtol=0, atol=1e-5)


def test_a_condition_is_embedded_without_its_reference(small: ElfTeacher) -> None:
    space = small.space
    source = "word1 word2 word3"
    batches = [space.collate([Example("a", source, target)]) for target in ("word5 word6", "word9", "")]
    states = [space.embed_condition(batch) for batch in batches]
    given_L = ~batches[0].target_BL[0]
    assert given_L.sum() == 4
    for batch, e in zip(batches, states, strict=True):
        assert torch.equal(e[0, given_L], states[0][0, given_L])
        # And it is the clean state that real data have there, bit for bit.
        assert torch.equal(space.embed(batch)[0, given_L], e[0, given_L])
    other = space.embed_condition(space.collate([Example("a", "word1 word2 word4", "word9")]))
    assert not torch.allclose(other[0, given_L], states[0][0, given_L])


def test_a_batch_is_encoded_once(small_of: Callable[..., ElfTeacher]) -> None:
    teacher, calls = small_of(), []
    teacher.space.encoder.register_forward_hook(lambda *_: calls.append(1))
    batch = teacher.space.collate([Example("a", "word1", "word2"), Example("b", "word3", "word4 word5")])
    encoded = teacher.space.encode(batch)
    assert len(calls) == 1
    assert teacher.space.encode(encoded) is encoded
    assert torch.equal(teacher.space.embed_condition(encoded), teacher.space.embed_condition(batch))
    assert len(calls) == 2
    assert torch.equal(teacher.space.embed_condition(encoded[1:]), teacher.space.embed_condition(encoded)[1:])


def test_the_null_condition_is_zeros(small: ElfTeacher, small_text: ElfTeacher) -> None:
    space = small.space
    batch = space.encode(space.collate([Example("a", "word1", "word2")]))
    null = space.encoded_null(batch)
    assert not space.embed_condition(null).any()
    assert space.embed_condition(batch).any()
    assert torch.equal(null.tokens_BL, batch.tokens_BL)
    with pytest.raises(InputError, match="no null condition"):
        small_text.space.null_condition(small_text.space.collate([Example("a", "", "word2")]))


@pytest.mark.parametrize("pad", [0, 1])
def test_answers_are_padded_from_their_end_as_officially(
    small_text: ElfTeacher, official: Official, monkeypatch: pytest.MonkeyPatch, pad: int
) -> None:
    """With the vocabulary's padding, and where that is the end marker itself."""
    d = official("decode")
    monkeypatch.setattr(small_text.space.vocabulary, "pad", pad)
    # A model without a condition keeps all of its row.
    row_BL = torch.zeros(3, 24, dtype=torch.long)
    row_BL[:, :6] = d["eos_in"]
    everything = Batch(tuple("abc"), row_BL, torch.ones(3, 24, dtype=torch.bool))
    assert torch.equal(small_text.space.answers(row_BL, everything)[:, :6], d[f"eos_out_pad{pad}"])


def test_answers_are_shifted_and_cut_as_officially(small: ElfTeacher, official: Official) -> None:
    d = official("decode")
    # Each row by the length of its condition; ends beyond the 6 places are ours to ignore.
    row_BL = torch.full((3, 24), 7)
    row_BL[:, :6] = d["shift_in"]
    target_BL = torch.arange(24) >= d["shift_by"][:, None]
    answers_BN = small.space.answers(row_BL, Batch(tuple("abc"), row_BL, target_BL))
    for row, by in enumerate(d["shift_by"].tolist()):
        wanted = d["shift_out"][row, : 6 - by].tolist()
        cut = wanted.index(1) if 1 in wanted else len(wanted)
        assert answers_BN[row, :cut].tolist() == wanted[:cut]


def test_texts_come_back(small: ElfTeacher) -> None:
    space = small.space
    examples = [Example("a", "word1 word2", "word7 word8 word9"), Example("b", "word3", "word4")]
    batch = space.collate(examples)
    assert space.text(batch.tokens_BL, batch) == ["word7 word8 word9", "word4"]
    assert space.source_text(batch) == ["word1 word2", "word3"]
    long = " ".join(f"word{i}" for i in range(30))
    cut = space.collate([Example("c", long, long)])
    # 12 tokens of the condition, whose end marker is lost, and 12 of the target.
    assert space.source_text(cut) == [" ".join(f"word{i}" for i in range(12))]
    assert space.text(cut.tokens_BL, cut) == [" ".join(f"word{i}" for i in range(12))]


def test_a_model_without_a_condition_refuses_one(small_text: ElfTeacher) -> None:
    with pytest.raises(InputError, match="example a: this model takes no condition"):
        small_text.space.collate([Example("a", "word1", "word2")])


def test_padding_counts_where_it_is_learned(small: ElfTeacher, small_text: ElfTeacher) -> None:
    batch = small.space.collate([Example("a", "word1", "word2 word3")])
    assert small.space.counted(batch).sum() == 24 - 2
    batch = small_text.space.collate([Example("a", "", "word2 word3")])
    assert small_text.space.counted(batch).sum() == 3


def test_the_encoder_is_frozen_and_never_in_training_mode(small_of: Callable[..., ElfTeacher]) -> None:
    teacher = small_of().train()
    encoder = teacher.space.encoder
    assert isinstance(encoder, nn.Module)
    assert not any(part.training for part in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert teacher.network.training


def test_quantiles_are_those_of_the_training_times() -> None:
    schedule = ElfSchedule()
    t = logit_normal(torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    for quantile in (0.01, 0.25, 0.5, 0.9):
        time = schedule.time_of_quantile(quantile)
        assert float((1 - t < time).float().mean()) == pytest.approx(quantile, abs=0.005)
    assert schedule.time_of_quantile(0.0) == schedule.min_time
    assert schedule.time_of_quantile(1.0) == 1.0
    for ratio in (0.1, 1.0, 30.0):
        time = torch.tensor([schedule.time_of_ratio(ratio)])
        assert float(schedule.ratio(time)) == pytest.approx(ratio)
    assert schedule.time_of_ratio(float("inf")) == 1.0


def test_what_is_cut_is_counted_and_references_are_whole(small: ElfTeacher, small_text: ElfTeacher) -> None:
    """12 tokens of a condition, and 12 of a target in rows of 24; both with an end that is no text."""
    space = small.space
    words = [f"word{number}" for number in range(20)]
    long, twelve, short = " ".join(words), " ".join(words[:12]), " ".join(words[:3])
    assert space.reading(Example("a", short, short)) == Reading(6)
    assert space.reading(Example("a", twelve, twelve)) == Reading(24)
    assert space.reading(Example("a", long, long)) == Reading(40, source_cut=8, target_cut=8)
    assert space.reading(Example("a", "word1 zebra", "word2")) == Reading(3, unknown=1)
    batch = space.collate([Example("a", long, long), Example("b", short, short)])
    assert space.source_text(batch) == [twelve, short]
    assert space.reference_text(batch) == [long, short]
    assert space.text(batch.tokens_BL, batch) == [twelve, short]
    found = survey(space, list(batch.examples))
    assert (found.sources_cut, found.targets_cut, found.tokens_cut) == (1, 1, 16)
    text = small_text.space
    assert text.reading(Example("a", "", " ".join([*words, *words[:8]]))) == Reading(28, target_cut=4)
    with pytest.raises(InputError, match="takes no condition"):
        text.reading(Example("a", "word1", "word2"))


def test_generation_says_which_sources_were_cut(small: ElfTeacher, tmp_path: Path) -> None:
    folder = publish(tmp_path / "teacher", small, "elf", "teacher", "card")
    words = [f"word{number}" for number in range(20)]
    long, short = " ".join(words), "Word1 zebra"
    sentence = "the source of 1 text was too long and cut, by 8 tokens; the first is that of id 1"
    result = CliRunner().invoke(main, ["generate", str(folder), short, long, "--steps", "1", "--json"])
    assert result.exit_code == 0, result.output
    assert f"warning: {sentence}\n" in result.stderr
    assert [json.loads(line)["source"] for line in result.stdout.splitlines()] == [short, long]
    both = CliRunner().invoke(main, ["generate", str(folder), long, long, "--steps", "1"])
    assert (
        "the sources of 2 texts were too long and cut, by 16 tokens; the first is that of id 0" in both.stderr
    )
    model = dlmone.load(folder)
    with pytest.warns(UserWarning, match=sentence):
        model.generate([short, long], steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate([short], steps=1)
