"""plugins/langflow/teacher.py, space.py and text.py: the contracts, with and without a condition."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from pydantic import ValidationError
from tokenizers import models, pre_tokenizers
from torch.nn import functional

from dlmone.core import Example, InputError, Noise, Reading, TimePoint
from dlmone.plugins.langflow.convert import to_official
from dlmone.plugins.langflow.options import LangFlowOptions, SamplerOptions
from dlmone.plugins.langflow.samplers import LangFlowSampler
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.text import Vocabulary
from dlmone.plugins.langflow.training.loss import training_loss
from dlmone.plugins.tokenizers.words import words
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import Pretrain
from dlmone.runtime.device import Compute
from dlmone.testing import check_sampler, check_teacher
from dlmone.testing.toy import EXAMPLES
from dlmone.training.pretraining import Pretraining

from .small import LINES, SIZES, teacher_of

RELEASED = Path(__file__).parents[2] / "data" / "langflow" / "released_state_dict_keys.json"


@pytest.mark.parametrize(
    ("conditional", "options"),
    [
        (False, {}),
        (True, {"condition_dropout": 0.3, "self_conditioning_rate": 0.5}),
        (True, {"bayes_ramp": 20, "self_conditioning": False}),
        (True, {"encoder_width": 12}),
        (True, {"encoder_width": 12, "tied": True}),
        (False, {"tied": True}),
    ],
)
def test_it_keeps_the_teacher_contract(conditional: bool, options: dict[str, Any]) -> None:
    check_teacher(lambda: teacher_of(conditional=conditional, **options), EXAMPLES if conditional else LINES)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_its_sampler_keeps_the_contract(temperature: float) -> None:
    sampler = LangFlowSampler(SamplerOptions(temperature=temperature))
    check_sampler(sampler, steps=3, teacher=teacher_of(conditional=True))


# -- the released sizes ------------------------------------------------------------------------------------


def test_the_released_model_has_the_released_tensors() -> None:
    released = json.loads(RELEASED.read_text())
    options = LangFlowOptions()
    many = words([" ".join(f"w{i}" for i in range(30522 - 4))])
    with torch.device("meta"):
        teacher = LangFlowTeacher(options, Vocabulary(many))
    assert sum(parameter.numel() for parameter in teacher.parameters()) == 140_472_637
    sketch = LangFlowTeacher.sketch(options)
    assert sketch is not None
    assert sketch.network == sum(parameter.numel() for parameter in teacher.network.parameters())
    assert sketch.space == sum(parameter.numel() for parameter in teacher.space.parameters())
    shapes = {key: list(value.shape) for key, value in to_official(teacher).items()}
    assert shapes == {entry["key"]: entry["shape"] for entry in released["keys"]}


# -- rows --------------------------------------------------------------------------------------------------


def test_rows_without_a_condition_stand_between_equal_markers() -> None:
    space = teacher_of().space
    batch = space.collate(LINES)
    first = batch.tokens_BL[0].tolist()
    words = space.vocabulary.encode(LINES[0].target)
    assert first[: len(words) + 3] == [
        space.vocabulary.start,
        *words,
        space.vocabulary.start,
        space.vocabulary.pad,
    ]
    assert batch.target_BL.all()
    with pytest.raises(InputError, match="rain: it has a source, but this model writes without one"):
        space.collate(EXAMPLES)


def test_a_marker_between_sentences_is_a_line_break() -> None:
    space = teacher_of().space
    words = space.vocabulary
    first, second = words.encode("explain rain"), words.encode("rain")
    start, pad = words.start, words.pad
    batch = space.collate([Example("lines", "", "explain rain\nrain")])
    assert batch.tokens_BL[0].tolist()[:6] == [start, *first, start, *second, start]
    rows = {
        "explain rain\nrain": [start, *first, start, *second, start],
        "\nexplain rain": [start, start, *first, start],
        "explain rain\n": [start, *first, start, start],
        "rain": [*second, pad, pad],
        "": [start, start, pad],
    }
    for text, tokens in rows.items():
        assert words.decode_lines(tokens) == text
        row = [*tokens, *[pad] * (14 - len(tokens))]
        assert space.text(torch.tensor([row]), batch) == [text]


def test_a_condition_is_given_clean_and_the_target_numbered() -> None:
    teacher = teacher_of(conditional=True)
    batch = teacher.space.collate(EXAMPLES)
    words = teacher.space.vocabulary
    given = [words.start, *words.encode(EXAMPLES[0].source), words.end]
    assert batch.tokens_BL[0, : len(given)].tolist() == given
    assert batch.target_BL[0].tolist() == [False] * len(given) + [True] * (14 - len(given))
    # Each generated position has a vector of its place, given ones none, and no estimate is read there.
    e = teacher.space.embed(batch)
    plain = teacher.network.read_in(e, batch, None)
    estimated = teacher.network.read_in(e, batch, torch.ones_like(e))
    changed_BL = (plain != estimated).any(-1)
    assert torch.equal(changed_BL, batch.target_BL)
    places = teacher.network.places
    assert places is not None
    learned = places.detach().clone()
    with torch.no_grad():
        places.zero_()
    added = plain - teacher.network.read_in(e, batch, None)
    for added_L, target_L in zip(added, batch.target_BL, strict=True):
        torch.testing.assert_close(added_L[target_L], learned[: int(target_L.sum())])
        assert not added_L[~target_L].any()


def test_what_is_too_long_is_cut_and_counted() -> None:
    space = teacher_of(conditional=True).space  # rows of 14: 9 for a condition, 2 of them its markers
    words = space.vocabulary
    long = Example("long", "what is rain " * 5, "explain")
    batch = space.collate([long])
    given = [words.start, *words.encode(long.source)[:7], words.end]
    assert batch.tokens_BL[0].tolist()[: len(given) + 2] == [*given, *words.encode("explain"), words.end]
    assert space.reading(long) == Reading(16, source_cut=8)
    # What is kept of a source doesn't depend on its target.
    alone = space.collate_conditions([long])
    assert torch.equal(alone.tokens_BL[0, :9], batch.tokens_BL[0, :9])
    cut = Example("cut", "what is rain", "explain rain to me " * 5)
    assert space.collate([cut]).tokens_BL[0, -1] == words.end
    assert space.reading(cut).target_cut == 20 - (14 - 5 - 1)
    shorter = teacher_of(conditional=True, source_length=4).space
    assert shorter.reading(Example("short", "what is rain", "explain")).source_cut == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"conditional": True, "source_length": 13},
            "source_length 13 leaves no room .* a row of 14",
        ),
        ({"conditional": True, "length": 4}, "source_length 3 leaves no room .* it may be 2 at most"),
        ({"source_length": 5}, "source_length is for conditional = true"),
        ({"train_embedding": False}, "train_embedding = false needs init_from"),
    ],
)
def test_options_that_disagree_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LangFlowOptions.model_validate(SIZES | options)


def test_text_ends_at_the_marker_where_there_is_a_condition() -> None:
    space = teacher_of(conditional=True).space
    batch = space.collate(EXAMPLES[:1])
    tokens_BL = batch.tokens_BL.clone()
    end = int((tokens_BL[0] == space.vocabulary.end).nonzero()[-1])
    tokens_BL[0, end + 1] = space.vocabulary.encode("boat")[0]
    assert space.text(tokens_BL, batch) == [EXAMPLES[0].target]


def test_the_null_condition_is_blank_and_needs_training() -> None:
    other = teacher_of(conditional=True).space
    with pytest.raises(InputError, match="never trained without one"):
        other.null_condition(other.collate(EXAMPLES))
    space = teacher_of(conditional=True, condition_dropout=0.1).space
    batch = space.collate(EXAMPLES)
    null = space.null_condition(batch)
    assert (null.tokens_BL[~batch.target_BL] == space.vocabulary.pad).all()
    assert torch.equal(null.tokens_BL[batch.target_BL], batch.tokens_BL[batch.target_BL])


def test_rows_have_one_norm_and_decoding_finds_the_nearest() -> None:
    space = teacher_of().space
    torch.testing.assert_close(space.rows().norm(dim=1), torch.full((len(space.rows()),), math.sqrt(8)))
    batch = space.collate(LINES)
    state = torch.randn(len(LINES), 14, 8)
    nearest_BL = torch.cdist(state, space.rows().expand(len(LINES), -1, -1)).argmin(-1)
    assert torch.equal(space.decode(state, batch), nearest_BL)
    raw = teacher_of(normalised=False).space
    nearest_BL = torch.cdist(state, raw.rows().expand(len(LINES), -1, -1)).argmin(-1)
    assert torch.equal(raw.decode(state, batch), nearest_BL)


def test_gpt2s_one_marker_begins_ends_and_fills() -> None:
    marker = "<|endoftext|>"
    backend = tokenizers.Tokenizer(models.WordLevel({marker: 0, "a": 1, "b": 2}, unk_token=marker))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens([marker])
    vocabulary = Vocabulary(backend)
    assert (vocabulary.start, vocabulary.end, vocabulary.pad) == (0, 0, 0)
    options = LangFlowOptions(**(SIZES | {"length": 6}))
    space = LangFlowTeacher(options, vocabulary).space
    batch = space.collate([Example("1", "", "a b")])
    assert batch.tokens_BL.tolist() == [[0, 1, 2, 0, 0, 0]]
    assert space.text(batch.tokens_BL, batch) == ["a b"]
    again = Vocabulary.from_bytes(vocabulary.to_bytes())
    assert again.encode("b a") == [2, 1]


def test_markers_that_a_tokenizer_lacks_are_added() -> None:
    vocabulary = Vocabulary(tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    assert vocabulary.size == 5
    assert sorted((vocabulary.start, vocabulary.end, vocabulary.pad)) == [1, 3, 4]


# -- training ----------------------------------------------------------------------------------------------


def test_every_generated_token_counts_alike_and_no_given_one() -> None:
    teacher = teacher_of(conditional=True)
    batch = teacher.space.collate(EXAMPLES)
    t_B = torch.tensor([0.2, 0.4, 0.6, 0.8], dtype=torch.float64)
    noise = torch.randn(4, 14, 8)
    parts = training_loss(teacher.network, teacher.space, batch, t_B, noise, torch.zeros(4, dtype=torch.bool))
    e = teacher.space.embed(batch)
    e_t = teacher.space.pin(teacher.space.schedule.diffuse(e, t_B, noise), e, batch)
    log_p_BLV = teacher.network.predict(e_t, t_B, batch).logits.log_softmax(-1)
    nll_BL = functional.nll_loss(log_p_BLV.transpose(1, 2), batch.tokens_BL, reduction="none")
    wanted = [nll_BL[row][batch.target_BL[row]].mean() for row in range(4)]
    torch.testing.assert_close(parts.cross_entropy_B, torch.stack(wanted))


def test_dropped_conditions_are_null_ones() -> None:
    teacher = teacher_of(conditional=True, condition_dropout=0.5, self_conditioning_rate=0.0)
    batch = teacher.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])
    dropped_B = noise.uniform("condition") < 0.5
    assert dropped_B.any()
    assert not dropped_B.all()
    parts = teacher.training_loss(batch, noise).logged["cross_entropy"]
    whole = teacher_of(conditional=True, self_conditioning_rate=0.0)
    whole.load_state_dict(teacher.state_dict())
    kept = whole.training_loss(batch, noise).logged["cross_entropy"]
    null = whole.training_loss(teacher.space.null_condition(batch), noise).logged["cross_entropy"]
    torch.testing.assert_close(parts, torch.where(dropped_B, null, kept))
    assert not torch.isclose(null, kept).any()


def test_some_samples_read_their_own_first_estimate() -> None:
    teacher = teacher_of(conditional=True, self_conditioning_rate=0.5)
    batch = teacher.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])
    chosen_B = noise.uniform("self") < 0.5
    assert chosen_B.any()
    assert not chosen_B.all()
    values = {}
    for rate in (0.0, 0.5, 1.0):
        other = teacher_of(conditional=True, self_conditioning_rate=rate)
        other.load_state_dict(teacher.state_dict())
        values[rate] = other.training_loss(batch, noise).logged["cross_entropy"]
    torch.testing.assert_close(values[0.5], torch.where(chosen_B, values[1.0], values[0.0]))
    assert not torch.isclose(values[0.0], values[1.0]).any()


def test_the_bayes_term_ramps_up_over_updates_and_resumes() -> None:
    teacher = teacher_of(bayes_ramp=4)
    batch = teacher.space.collate(LINES)
    noise = Noise([(0, id) for id in batch.ids])
    ramps, losses = [], []
    for _ in range(6):
        answer = teacher.training_loss(batch, noise)
        ramps.append(teacher._ramp())
        losses.append(answer.loss_B.mean().item())
        teacher.observe(answer.observation)
    assert ramps == [0, 0.25, 0.5, 0.75, 1, 1]
    assert len(set(losses[:5])) == 5
    assert losses[4] == losses[5]
    other = teacher_of(bayes_ramp=4)
    other.load_training_state(teacher.training_state())
    assert other._ramp() == 1


def test_the_schedule_can_have_a_learning_rate_of_its_own() -> None:
    adam = {"lr": 1e-4, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
    assert teacher_of().new_optimizers(**adam) == ()
    teacher = teacher_of(schedule_lr=0.02)
    [optimizer] = teacher.new_optimizers(**adam)
    [group] = optimizer.param_groups
    assert group["params"] == [*teacher.space.proposal.parameters()]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.02, (0.9, 0.99), 0)
    # In pretraining the first update of Adam is as large as the learning rate, of each parameter its own.
    config = Pretrain.model_validate(
        {"steps": 1, "batch": 4, "schedule": "constant", "optimizer": {"lr": 1e-4}}
    )
    before = {name: value.clone() for name, value in teacher.named_parameters()}
    compute = Compute.start(ComputeTable(device="cpu", precision="float32"))
    Pretraining(teacher, config, LINES, compute, seed=0).advance(norms=False)
    moved = {name: (value - before[name]).abs().max().item() for name, value in teacher.named_parameters()}
    for name in ("space.proposal.loc", "space.proposal.scale", "space.proposal.entropy"):
        assert moved.pop(name) == pytest.approx(0.02, rel=1e-3)
    assert max(moved.values()) == pytest.approx(1e-4, rel=1e-2)


def test_t_init_is_a_quantile() -> None:
    schedule = teacher_of().space.schedule
    assert schedule.resolve(TimePoint(quantile=0.9)) == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 10, "heads": 2}, "width 10 is not a multiple of 2·heads"),
        ({"condition_dropout": 0.1}, "condition_dropout is for conditional = true"),
        ({"cutoff": 0.5}, "less than 0.1"),
        ({"depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        LangFlowOptions(**options)
