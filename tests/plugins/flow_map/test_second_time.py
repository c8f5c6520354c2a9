"""A second time for the built-in networks: it starts at zero, resumes, and samples in any number of calls."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Denoiser, Example, InputError, Noise, Teacher
from dlmone.models.folder import load_student, publish
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.flow_map.objective import FlowMap
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.registry import Registry
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing.watched import Watched
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.requests import check_requests

from .small import options

EXAMPLES = [Example(str(i), source, "what is it") for i, source in enumerate(("how is it ?", "what now ?"))]


def diffuseq() -> DiffuSeqTeacher:
    sizes = {"seq_len": 12, "hidden_dim": 8, "hidden_t_dim": 8, "width": 16, "layers": 1, "heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffuSeqTeacher.build(DiffuSeqOptions(tokenizer="words", **sizes), EXAMPLES).eval()


def langflow() -> LangFlowTeacher:
    """A teacher that reads an earlier estimate of its own."""
    sizes = {"length": 12, "width": 16, "condition": 8, "layers": 1, "heads": 2, "dropout": 0.0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        chosen = LangFlowOptions(tokenizer="words", conditional=True, entropy=2.0, bayes_ramp=0, **sizes)
        teacher = LangFlowTeacher.build(chosen, EXAMPLES).eval()
        with torch.no_grad():
            for p in teacher.network.parameters():  # some start at zero, behind which nothing is learned
                p += 0.05 * torch.randn_like(p)
    return teacher


def stage(**changes: Any) -> Stage:
    return Stage.model_validate(
        {
            "steps": 6,
            "batch": 2,
            "t_init": {"quantile": 1.0},
            "generator": {"lr": 1e-2},
            "objectives": {"map": {"use": "flow_map"}},
            **changes,
        }
    )


def distillation(teacher: Teacher, start: Denoiser | None = None, table: Any = None) -> Distillation:
    compute = Compute(torch.device("cpu"), bfloat16=False, world=World())
    table, registry = table or stage(), Registry.discover()
    terms = {key: registry.create("objectives", slot) for key, slot in table.objectives.items()}
    examples = TokenizedExamples(teacher.space, EXAMPLES)
    return Distillation("stage-1", table, teacher, terms, examples, compute, 0, start)


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_second_time_starts_at_zero() -> None:
    teacher = diffuseq()
    batch = teacher.space.collate(EXAMPLES)
    e, t_B = teacher.space.embed(batch), teacher.space.schedule.tensor(1000, 2)
    network = teacher.copy_network()
    network.add_second_time()
    network.add_second_time()
    s_B = torch.tensor([0, 700])
    x0 = network.denoise(e, t_B, batch, s_B=s_B).x0
    assert torch.equal(x0, teacher.network.denoise(e, t_B, batch).x0)
    network.denoise(e, t_B, batch, s_B=s_B).x0.square().sum().backward()
    last = network.second_time_embed[-1]
    assert last.weight.grad.abs().max() > 0
    nn.init.normal_(last.weight)
    moved = network.denoise(e, t_B, batch, s_B=s_B).x0
    assert not torch.equal(moved, x0)
    torch.testing.assert_close(moved[1:], network.denoise(e[1:], t_B[1:], batch[1:], s_B=s_B[1:]).x0)
    plain, told = (network.denoise(e, t_B, batch, **given).x0 for given in ({}, {"s_B": t_B}))
    assert torch.equal(plain, told), "without a second time it is the first"


@pytest.mark.parametrize("family", [diffuseq, langflow])
def test_it_goes_on_exactly_and_samples_in_any_number_of_calls(
    family: Callable[[], Teacher], tmp_path: Path
) -> None:
    teacher = family()
    whole, part = distillation(teacher), distillation(teacher)
    begun = {name: value.clone() for name, value in whole.weights("raw").items() if "second" in name}
    logged = [whole.advance(norms=True) for _ in range(6)]
    assert all(one["gradient/map"] > 0 for one in logged)
    untold = [name for name, value in begun.items() if not value.any()]
    assert untold, "its effect starts at zero"
    assert all(whole.weights("raw")[name].abs().max() > 1e-3 for name in untold)
    for _ in range(3):
        part.advance(norms=True)
    torch.manual_seed(123)
    again = distillation(teacher)
    again.load(part.checkpoint({}))
    assert [again.advance(norms=True) for _ in range(3)] == logged[3:]
    for one in ("raw", "ema"):
        assert same(whole.weights(one), again.weights(one))

    top = teacher.space.schedule.max_time
    facts = {"t_init": top, "unit_input": False, "second_time": True}
    weights, name = whole.weights("raw"), family.__name__
    publish(tmp_path / "s", teacher, name, "student", "card", weights=weights, student=facts)
    loaded = load_student(tmp_path / "s", Registry.discover())
    batch = teacher.space.collate(EXAMPLES)
    noise = Noise([(0, id) for id in batch.ids])
    states = []
    for calls in (1, 2, 4):
        watched = Watched(whole.frozen_generator(whole.generator.network).network)
        generated = whole.generator.with_network(watched).eval().generate(batch, noise, calls)
        assert (generated.calls, len(watched.calls)) == (calls, calls)
        same_again = loaded.generate(batch, noise, calls).state
        assert torch.equal(cast(Tensor, same_again), cast(Tensor, generated.state))
        states.append(generated.state)
    assert not torch.equal(*states[:2])


def test_a_later_stage_keeps_the_second_time_and_a_plain_student_gets_one() -> None:
    teacher = diffuseq()
    first = distillation(teacher)
    first.advance(norms=False)
    plain = stage(objectives={"score": {"use": "sid"}})
    after = distillation(teacher, first.generator.network, plain)
    assert same(after.weights("raw"), first.weights("raw"))
    assert after.advance(norms=True)["gradient/score"] > 0, "θ's one call leads to the clean end"
    before = distillation(teacher, None, plain)
    assert not before.generator.network.second_time
    before.advance(norms=False)
    mapped = distillation(teacher, before.generator.network)
    kept = {key: value for key, value in mapped.weights("raw").items() if "second" not in key}
    assert same(kept, before.weights("raw"))
    assert mapped.generator.network.second_time


def test_a_teacher_without_a_second_time_is_refused_before_training() -> None:
    teacher = diffuseq()
    teacher.network.add_second_time = lambda: Denoiser.add_second_time(teacher.network)  # type: ignore[method-assign]
    teacher.copy_network = lambda: teacher.network  # type: ignore[method-assign]
    with pytest.raises(
        InputError, match=r"^stages\.stage-1\.objectives\.map: DiffuSeqNetwork takes no second time"
    ):
        check_requests(teacher, {"stage-1": {"map": FlowMap(options())}}, EXAMPLES[0])
