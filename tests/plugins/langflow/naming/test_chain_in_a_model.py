"""A chain of tokens in a model: its counts, its samplers, its students, its folders."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import Batch, InputError, Noise
from dlmone.models.folder import load_student, load_teacher, publish
from dlmone.plugins.langflow.naming.chain import chained_tokens
from dlmone.plugins.langflow.naming.options import ChainOptions
from dlmone.plugins.langflow.options import LangFlowOptions, SamplerOptions
from dlmone.plugins.langflow.samplers import LangFlowSampler
from dlmone.plugins.langflow.student import LangFlowStudent
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.registry import Registry
from dlmone.registry.schema import SamplerSlot
from dlmone.registry.short import slot_of
from dlmone.testing import Watched, check_sampler, check_teacher
from dlmone.testing.toy import EXAMPLES

from ..small import teacher_of

CHAIN = {"weight": 0.7, "bonus": 0.3, "top_k": 4}


def chained(**options: Any) -> LangFlowTeacher:
    return teacher_of(conditional=True, pairs=50, chain=CHAIN, **options)


def noise_of(batch: Batch) -> Noise:
    return Noise([(0, id) for id in batch.ids])


def by_hand(teacher: LangFlowTeacher, logits_BLV: Tensor, batch: Batch) -> Tensor:
    words, pairs = teacher.space.vocabulary, teacher.space.pairs
    assert pairs is not None
    markers = (words.start, words.end, words.pad)
    return chained_tokens(
        logits_BLV, batch, ChainOptions(**CHAIN), pairs.log_probability, markers, noise_of(batch)
    )


def test_it_keeps_the_contracts() -> None:
    check_teacher(chained, EXAMPLES)
    check_sampler(LangFlowSampler(SamplerOptions()), steps=3, teacher=chained())


def test_pairs_are_those_of_whole_rows() -> None:
    space = teacher_of(conditional=True, pairs=1000).space
    assert space.pairs is not None
    seen = Counter(pair for row in space.collate(EXAMPLES).tokens_BL.tolist() for pair in pairwise(row))
    firsts_P = torch.repeat_interleave(torch.arange(len(space.embedding)), space.pairs.starts.diff())
    found = zip(firsts_P.tolist(), space.pairs.seconds.tolist(), space.pairs.counts.tolist(), strict=False)
    assert {(first, second): count for first, second, count in found} == seen


def test_triples_are_those_of_whole_rows() -> None:
    space = teacher_of(conditional=True, triples=1000).space
    assert space.triples is not None
    tokens_BL = space.collate(EXAMPLES).tokens_BL
    assert space.triples.known(tokens_BL[:, :-2], tokens_BL[:, 1:-1], tokens_BL[:, 2:]).all()
    absent = torch.full((), space.vocabulary.end)
    assert not space.triples.known(absent, absent, absent)


def test_pairs_change_nothing_that_is_trained() -> None:
    plain, counted = teacher_of(conditional=True), teacher_of(conditional=True, pairs=50, triples=50)
    weights = counted.state_dict()
    assert plain.state_dict().keys() == {
        name for name in weights if "pairs" not in name and "triples" not in name
    }
    assert all(torch.equal(weights[name], value) for name, value in plain.state_dict().items())


@pytest.mark.parametrize("steps", [1, 3])
def test_the_sampler_names_tokens_by_the_last_logits(steps: int) -> None:
    teacher = chained()
    space, batch = teacher.space, teacher.space.collate(EXAMPLES)
    network = Watched(teacher.network)

    def sampled(**options: Any) -> Tensor:
        registry = Registry.discover()
        slot = slot_of(SamplerSlot, {"use": "langflow", **options}, registry, "sampler")
        sampler = registry.create("samplers", slot)
        with torch.no_grad():
            return space.decode(sampler.sample(network, space, batch, noise_of(batch), steps)[0], batch)

    found_BL = sampled()
    last = network.calls[-1]
    with torch.no_grad():
        logits_BLV = network.denoise(
            last.e_t, last.t_B, batch, tokens=True, previous=last.previous
        ).logits_BLV
    assert logits_BLV is not None
    assert torch.equal(found_BL, by_hand(teacher, logits_BLV, batch))
    each_BL = torch.where(batch.target_BL, logits_BLV.argmax(-1), batch.tokens_BL)
    assert torch.equal(sampled(chain=False), each_BL)
    assert torch.equal(sampled(chain={"weight": 0, "bonus": 0, "repeats": True}), each_BL)
    assert not torch.equal(found_BL, each_BL)


@pytest.mark.parametrize("weights", [{"coverage": 3.0}, {"known": 3.0}, {"coverage": 1.0, "known": 2.0}])
def test_the_choice_reads_the_models_own_counts(weights: dict[str, float]) -> None:
    """As `best_draw` by hand; and another than by agreement alone."""
    space = teacher_of(conditional=True, pairs=50, triples=20).space
    assert space.pairs is not None
    assert space.triples is not None
    batch, words = space.collate(EXAMPLES * 8), space.vocabulary
    options = ChainOptions(temperature=3.0, draws=8, top_k=8, **weights)
    generator = torch.Generator().manual_seed(0)
    logits_BLV = torch.randn(*batch.tokens_BL.shape, len(space.embedding), generator=generator)
    noise = Noise([(row, id) for row, id in enumerate(batch.ids)])
    markers = (words.start, words.end, words.pad)
    found_BL = space.name_tokens(logits_BLV, batch, options, noise)
    judged = {"information_V": -space.pairs.lower.log(), "triples": space.triples.known}
    asked = (logits_BLV, batch, options, space.pairs.log_probability, markers, noise)
    assert torch.equal(found_BL, chained_tokens(*asked, **judged))
    plain = options.model_copy(update={"coverage": 0.0, "known": 0.0})
    assert not torch.equal(found_BL, space.name_tokens(logits_BLV, batch, plain, noise))


@pytest.mark.parametrize("spacing", ["time", "ratio", "log_snr", [0.5]])
def test_one_call_needs_no_later_times(spacing: Any) -> None:
    teacher = chained()
    batch, network = teacher.space.collate(EXAMPLES), Watched(teacher.network)
    sampler = LangFlowSampler(SamplerOptions.model_validate({"spacing": spacing}))
    sampler.check(teacher.space.schedule)
    sampler.sample(network, teacher.space, batch, noise_of(batch), 1)
    assert [float(call.t_B[0]) for call in network.calls] == [teacher.space.schedule.max_time]


def test_the_last_call_may_be_made_earlier() -> None:
    teacher = chained()
    space, batch = teacher.space, teacher.space.collate(EXAMPLES)
    schedule, network = space.schedule, Watched(teacher.network)
    sampler = LangFlowSampler(SamplerOptions.model_validate({"until": {"quantile": 0.4}}))
    sampler.sample(network, space, batch, noise_of(batch), 3)
    first, end = schedule.max_time, schedule.time_of_quantile(0.4)
    times = [float(call.t_B[0]) for call in network.calls]
    assert times == pytest.approx([first, (first + end) / 2, end])
    with pytest.raises(InputError, match=r"^until: .* 2 is outside"):
        LangFlowSampler(SamplerOptions.model_validate({"until": 2.0})).check(schedule)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_student_names_them_by_its_last_call(steps: int) -> None:
    teacher = chained()
    batch = teacher.space.collate(EXAMPLES)
    student = teacher.new_generator(teacher.space.schedule.time_of_quantile(0.9)).eval()
    assert isinstance(student, LangFlowStudent)
    watched = Watched(student.network)
    found = student.with_network(watched).generate(batch, noise_of(batch), steps)
    assert found.calls == len(watched.calls) == steps
    last = watched.calls[-1]
    with torch.no_grad():
        end = watched.denoise(last.e_t, last.t_B, batch, tokens=True, previous=last.previous)
    assert end.logits_BLV is not None
    assert torch.equal(found.tokens_BL, by_hand(teacher, end.logits_BLV, batch))
    given = teacher.space.embed_condition(batch)
    assert found.state is not None
    assert torch.equal(found.state, teacher.space.pin(end.x0, given, batch))


def test_model_folders_keep_pairs_and_chain(tmp_path: Path) -> None:
    registry, teacher = Registry.discover(), chained()
    batch = teacher.space.collate(EXAMPLES)
    student = teacher.new_generator(teacher.space.schedule.time_of_quantile(0.9)).eval()
    publish(tmp_path / "teacher", teacher, "langflow", "teacher", "text")
    loaded = load_teacher(tmp_path / "teacher", registry)
    sampler = LangFlowSampler(SamplerOptions())
    states = [
        sampler.sample(one.network, one.space, batch, noise_of(batch), 2)[0] for one in (teacher, loaded)
    ]
    assert torch.equal(*states)
    facts = {"t_init": student.t_init, "unit_input": False}
    publish(tmp_path / "student", teacher, "langflow", "student", "text", student=facts)
    again = load_student(tmp_path / "student", registry)
    found = [one.generate(batch, noise_of(batch)) for one in (student, again)]
    assert torch.equal(found[0].tokens_BL, found[1].tokens_BL)


def test_what_is_missing_is_said() -> None:
    plain = teacher_of(conditional=True)
    batch = plain.space.collate(EXAMPLES)
    sampler = LangFlowSampler(SamplerOptions.model_validate({"chain": {"weight": 0.4}}))
    with pytest.raises(InputError, match=r"^chain\.weight: this model has no pairs of tokens"):
        sampler.sample(plain.network, plain.space, batch, noise_of(batch), 1)
    with pytest.raises(ValidationError, match=r"chain\.weight needs pairs"):
        LangFlowOptions(conditional=True, chain=ChainOptions())
    for name, value in (("copy_penalty", 0.5), ("copy_floor", -1.0), ("copy_floor", 0.0)):
        with pytest.raises(ValidationError, match=rf"chain\.{name} is for conditional = true"):
            LangFlowOptions.model_validate({"pairs": 9, "chain": {name: value}})
    of_two = {"weight": 0.0, "temperature": 1.0, "draws": 2}
    for name, counts in (("coverage", "pairs"), ("known", "triples")):
        chain = {**of_two, name: 1.0}
        with pytest.raises(ValidationError, match=rf"chain\.{name} needs {counts}"):
            LangFlowOptions.model_validate({"conditional": True, "chain": chain})
        sampler = LangFlowSampler(SamplerOptions.model_validate({"chain": chain}))
        with pytest.raises(InputError, match=rf"^chain\.{name}: this model has no {counts} of tokens"):
            sampler.sample(plain.network, plain.space, batch, noise_of(batch), 1)
