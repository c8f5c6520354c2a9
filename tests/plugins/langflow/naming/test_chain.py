"""plugins/langflow/naming/chain.py: the likeliest sequence, against all; and what a user sees of it."""

from collections import Counter
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from dlmone.core import Batch, InputError, Noise
from dlmone.models.folder import load_student, load_teacher, publish
from dlmone.plugins.langflow.naming import chain as module
from dlmone.plugins.langflow.naming.chain import best_sequence, chained_tokens, drawn_sequences
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

MARKER = 0
CHAIN = {"weight": 0.7, "bonus": 0.3, "top_k": 4}
NOISE = Noise([(0, "a"), (0, "b"), (0, "c")])


def transitions(first: Tensor, second: Tensor) -> Tensor:
    """Some link for each pair."""
    return torch.sin(3.0 * first + 7.0 * second)


def random_case(seed: int) -> tuple[Tensor, Batch]:
    """Logits of 3 rows of 5 positions, V = 6; the first two are given, with one token twice."""
    generator = torch.Generator().manual_seed(seed)
    logits_BLV = 2 * torch.randn(3, 5, 6, generator=generator)
    tokens_BL = torch.randint(6, (3, 5), generator=generator)
    tokens_BL[:, 1] = tokens_BL[:, 0]
    target_BL = torch.tensor([[False, False, True, True, True]]).expand(3, 5)
    return logits_BLV, Batch(("a", "b", "c"), tokens_BL, target_BL)


@given(st.integers(0, 1000))
def test_no_sequence_is_better(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores_BLK = torch.randn(2, 4, 3, generator=generator)
    transitions_BMKK = torch.randn(2, 3, 3, 3, generator=generator)
    found_BL = best_sequence(scores_BLK, transitions_BMKK)
    for row, found_L in enumerate(found_BL.tolist()):
        score, link = scores_BLK[row].tolist(), transitions_BMKK[row].tolist()
        value = {
            path: sum(score[place][k] for place, k in enumerate(path))
            + sum(link[place][path[place]][path[place + 1]] for place in range(3))
            for path in product(range(3), repeat=4)
        }
        assert tuple(found_L) == max(value, key=value.__getitem__)


@pytest.mark.parametrize("seed", range(6))
def test_sequences_are_drawn_as_often_as_their_scores_say(seed: int) -> None:
    """Against all sequences' exact probabilities."""
    generator = torch.Generator().manual_seed(seed)
    scores_LK, transitions_MKK = (
        torch.randn(3, 2, generator=generator),
        torch.randn(2, 2, 2, generator=generator),
    )
    paths = list(product(range(2), repeat=3))
    total = torch.tensor(
        [
            sum(float(scores_LK[place, k]) for place, k in enumerate(path))
            + sum(float(transitions_MKK[place, path[place], path[place + 1]]) for place in range(2))
            for path in paths
        ]
    )
    draws = 20_000
    uniform_BDL = torch.rand(draws // 4, 4, 3, generator=generator)
    found_BL = drawn_sequences(
        scores_LK.expand(draws // 4, -1, -1), transitions_MKK.expand(draws // 4, -1, -1, -1), uniform_BDL
    ).flatten(0, 1)
    share_P = torch.stack([(found_BL == torch.tensor(path)).all(1).float().mean() for path in paths])
    wanted_P = total.softmax(0)
    # Four standard deviations of a share.
    assert bool(((share_P - wanted_P).abs() < 4 * (wanted_P / draws).sqrt()).all())


def test_what_has_no_chance_is_never_drawn() -> None:
    """Not by the largest uniform number either, where rounded probabilities add up to less than it."""
    generator = torch.Generator().manual_seed(0)
    scores_BLK = torch.randn(1000, 2, 16, generator=generator)
    scores_BLK[..., [0, -1]] = -torch.inf
    transitions_BMKK = torch.randn(1000, 1, 16, 16, generator=generator)
    for uniform in (0.0, 1 - 2**-53):
        uniform_BDL = torch.full((1000, 1, 2), uniform, dtype=torch.float64)
        found_BL = drawn_sequences(scores_BLK, transitions_BMKK, uniform_BDL)[:, 0]
        assert scores_BLK.gather(2, found_BL[..., None]).isfinite().all()


def test_a_forbidden_repeat_is_never_drawn_and_a_low_temperature_draws_the_best() -> None:
    logits_BLV, batch = random_case(2)
    for seed in range(50):
        noise = Noise([(seed, name) for name in "abc"])
        drawn_BL = chained_tokens(
            logits_BLV, batch, ChainOptions(weight=0.7, temperature=3), transitions, (MARKER,), noise
        )
        again_BL = (drawn_BL[:, 2:] == drawn_BL[:, 1:-1]) & (drawn_BL[:, 2:] != MARKER)
        assert not again_BL.any()
        assert torch.equal(drawn_BL[:, :2], batch.tokens_BL[:, :2])
    cold, best = (
        chained_tokens(
            logits_BLV, batch, ChainOptions(weight=0.7, temperature=t), transitions, (MARKER,), NOISE
        )
        for t in (1e-3, 0)
    )
    assert torch.equal(cold, best)


@pytest.mark.parametrize("repeats", [True, False])
@given(seed=st.integers(0, 1000))
def test_given_tokens_markers_and_repeats(repeats: bool, seed: int) -> None:
    """All sequences by hand: transitions from given tokens, no bonus for a marker, which may repeat."""
    logits_BLV, batch = random_case(seed)
    every = torch.arange(6)
    link = transitions(every[:, None], every[None, :]).tolist()
    score = logits_BLV.tolist()
    options = ChainOptions(weight=0.7, bonus=0.3, repeats=repeats, top_k=6)
    found_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE)
    assert torch.equal(found_BL[:, :2], batch.tokens_BL[:, :2])
    for row in range(3):
        last = int(batch.tokens_BL[row, 1])

        def value(path: tuple[int, ...], row: int = row, last: int = last) -> float:
            total, before = 0.0, last
            for place, token in enumerate(path, start=2):
                if not repeats and token == before != MARKER:
                    return -torch.inf
                total += score[row][place][token] + 0.3 * (token != MARKER) + 0.7 * link[before][token]
                before = token
            return total

        best = max(product(range(6), repeat=3), key=value)
        assert tuple(found_BL[row, 2:].tolist()) == best


def test_a_temperature_divides_scores_and_transitions() -> None:
    """Of one generated position after a given one, the shares are those of softmax((score + link)/T)."""
    draws, given_token = 20_000, 3
    logits_BLV = torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(0)).expand(draws, -1, -1)
    tokens_BL = torch.full((draws, 2), given_token)
    batch = Batch(("",) * draws, tokens_BL, torch.tensor([[False, True]]).expand(draws, -1))
    options = ChainOptions(weight=0.7, bonus=0, top_k=6, repeats=True, temperature=2)
    noise = Noise([(0, str(row)) for row in range(draws)])
    found_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), noise)
    link_V = transitions(torch.tensor(given_token), torch.arange(6))
    wanted_V = ((logits_BLV[0, 1] + 0.7 * link_V) / 2).softmax(0)
    share_V = torch.bincount(found_BL[:, 1], minlength=6) / draws
    assert bool(((share_V - wanted_V).abs() < 4 * (wanted_V / draws).sqrt()).all())


def test_without_weight_it_is_each_position_by_itself() -> None:
    logits_BLV, batch = random_case(0)
    found_BL = chained_tokens(
        logits_BLV, batch, ChainOptions(weight=0, bonus=0, repeats=True), None, (MARKER,), NOISE
    )
    assert torch.equal(found_BL, torch.where(batch.target_BL, logits_BLV.argmax(-1), batch.tokens_BL))


def test_a_bonus_makes_texts_longer() -> None:
    logits_BLV = torch.zeros(1, 4, 3)
    logits_BLV[..., MARKER] = 1.0
    batch = Batch(("a",), torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool))
    lengths = [
        int((chained_tokens(logits_BLV, batch, options, None, (MARKER,), NOISE) != MARKER).sum())
        for options in (ChainOptions(weight=0, bonus=0), ChainOptions(weight=0, bonus=1.5))
    ]
    assert lengths == [0, 4]


@pytest.mark.parametrize("temperature", [0, 2])
def test_rows_in_parts_are_named_alike(monkeypatch: pytest.MonkeyPatch, temperature: float) -> None:
    logits_BLV, batch = random_case(1)
    options = ChainOptions(weight=0.7, top_k=4, temperature=temperature)
    whole_BL = chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE)
    monkeypatch.setattr(module, "scores_at_once", lambda device: 1)
    assert torch.equal(chained_tokens(logits_BLV, batch, options, transitions, (MARKER,), NOISE), whole_BL)


# -- in a model --------------------------------------------------------------------------------------------


def chained(**options: Any) -> LangFlowTeacher:
    return teacher_of(conditional=True, pairs=50, chain=CHAIN, **options)


def noise_of(batch: Batch) -> Noise:
    return Noise([(0, id) for id in batch.ids])


def by_hand(teacher: LangFlowTeacher, logits_BLV: Tensor, batch: Batch) -> Tensor:
    words, pairs = teacher.space.vocabulary, teacher.space.pairs
    assert pairs is not None
    markers = (words.start, words.end, words.pad)
    return chained_tokens(logits_BLV, batch, ChainOptions(**CHAIN), pairs.log_probability, markers, NOISE)


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
    for name, value in (("copy_penalty", 0.5), ("copy_floor", -1.0)):
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
