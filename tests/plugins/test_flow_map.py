"""Flow-map distillation: by hand on the toy, the closed form on a Gaussian, and DiffuSeq in 1, 2, 4 calls."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    Denoiser,
    DiffusionGenerator,
    Example,
    FlowSchedule,
    InputError,
    Noise,
    Teacher,
)
from dlmone.core.model.schedule import NoiseSchedule, expand
from dlmone.core.sampling.ddim import ddim_step
from dlmone.core.sampling.flow_map import jump, remaining
from dlmone.core.step.losses import masked_mean
from dlmone.models.folder import load_student, publish
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.flow_map import objective as module
from dlmone.plugins.flow_map.objective import FlowMap
from dlmone.plugins.flow_map.options import FlowMapOptions
from dlmone.plugins.flow_map.states import grid, ways
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.registry import Registry
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import ToyTeacher, check_objective
from dlmone.testing.known import Gaussian, numbers
from dlmone.testing.oracle import ENTRIES, BatchNoise
from dlmone.testing.watched import Watched
from dlmone.training.distillation import Distillation
from dlmone.training.teacher import check_requests
from dlmone.training.tokenized import TokenizedExamples

from .on_gaussians import (
    MEAN,
    SCHEDULE,
    STD,
    Networks,
    check_gradient,
    distil,
    gaussian_step,
    step_of,
    student,
)

LOSSES = ("lagrangian", "eulerian", "progressive")


def options(**given: Any) -> FlowMapOptions:
    return FlowMapOptions.model_validate(given)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("order", [1, 2])
def test_the_contract_holds(loss: str, order: int) -> None:
    check_objective(FlowMap(options(loss=loss, order=order)))


@pytest.mark.parametrize(
    ("loss", "order", "times"),
    [*((loss, 1, 6) for loss in LOSSES), ("lagrangian", 2, 3), ("eulerian", 2, 6), ("progressive", 2, 40)],
)
def test_the_loss_by_hand(toy: ToyTeacher, loss: str, order: int, times: int) -> None:
    """The target leads where two jumps lead, one after the other; a part that is φ's is DDIM's step."""
    objective = FlowMap(options(loss=loss, order=order, times=times, to_end=0.3))
    step = step_of(toy, objective)
    space, schedule, real = step.space, step.space.schedule, step.real
    theta, average = (
        cast(DiffusionGenerator, step.networks[one]).network for one in (GENERATOR, objective.auxiliaries[0])
    )
    phi = cast(Denoiser, step.networks[TEACHER])
    e, mask = space.embed(real), space.generated(real)
    epsilon = step.real_noise.normal("epsilon", space.state_shape)
    values = grid(schedule, step.generator.t_init, objective.options)
    clean = schedule.min_time
    for row, indices in enumerate(torch.stack(ways(step, objective.options), 1).tolist()):
        t, u, s = (schedule.tensor(values[i], 1) for i in indices)
        one, e_1, mask_1 = (part[row : row + 1] for part in (real, e, mask))
        pin = partial(lambda x, e_1, one: space.pin(x, e_1, one), e_1=e_1, one=one)
        x = pin(schedule.diffuse(e_1, t, epsilon[row : row + 1]))

        def ode(x: Tensor, t: Tensor, s: Tensor, one: Batch = one, pin: Any = pin) -> Tensor:
            x0 = phi.denoise(x, t, one).x0
            if order == 2:
                x0 = (x0 + phi.denoise(pin(ddim_step(schedule, x0, x, t, s)), s, one).x0) / 2
            return x0

        def own(x: Tensor, t: Tensor, s: Tensor, one: Batch = one) -> Tensor:
            return average.denoise(x, t, one, s_B=s).x0

        if indices[0] - indices[2] <= 1:
            target = ode(x, t, s)
        else:
            first, second = (own if loss != "eulerian" else ode), (own if loss != "lagrangian" else ode)
            x_u = pin(ddim_step(schedule, first(x, t, u), x, t, u))
            target = second(x_u, u, s)
            if s != clean:
                # The x0 that leads from x to the second jump's end in one step.
                x_s = ddim_step(schedule, target, x_u, u, s)
                share = schedule.sigma(s) / schedule.sigma(t)
                target = (x_s - share * x) / (schedule.alpha(s) - share * schedule.alpha(t))
        expected = masked_mean((theta.denoise(x, t, one, s_B=s).x0 - target) ** 2, mask_1)
        torch.testing.assert_close(objective.generator_loss(step).loss_B[row], expected[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_only_theta_learns_and_only_from_the_whole_way(toy: ToyTeacher, loss: str) -> None:
    theta = check_gradient(toy, FlowMap(options(loss=loss))).network
    assert theta.second_H.grad.abs().max() > 1e-4, "the second time is learned"


def test_ways_go_down_and_a_share_of_them_to_the_end(toy: ToyTeacher) -> None:
    for loss in LOSSES:
        chosen = options(loss=loss, times=5, to_end=0.5)
        step = step_of(toy, FlowMap(chosen))
        step.real_noise = BatchNoise(0)
        seen = [torch.stack(ways(step, chosen), 1)]
        for seed in range(1, 30):
            step.real_noise = BatchNoise(seed)
            seen.append(torch.stack(ways(step, chosen), 1))
        t, u, s = torch.cat(seen).T
        assert bool(((s <= u) & (u <= t) & (t >= 1) & (t <= 5)).all())
        assert {*t.tolist()} == {1, 2, 3, 4, 5}
        # Half, and of the others 1/(t + 1); of the progressive loss a quarter is one step.
        direct = 0.5 + 0.5 * sum(1 / (time + 1) for time in range(1, 6)) / 5
        if loss == "progressive":
            direct = 0.75 * direct + 0.25 / 5
        assert float((s == 0).float().mean()) == pytest.approx(direct, abs=0.06)
        long = t - s >= 2
        parts = {"lagrangian": u - s == 1, "eulerian": t - u == 1, "progressive": (s < u) & (u < t)}
        assert bool(parts[loss][long].all())


# -- the flow map of a Gaussian ----------------------------------------------------------------------------


def angle(schedule: NoiseSchedule, t_B: Tensor) -> Tensor:
    """Return θ = arctan(λ/s), 0 at the clean end; then √(s² + λ²) = s/cos θ."""
    clean = t_B == schedule.min_time
    ratio_B = (schedule.sigma(t_B) / schedule.alpha(t_B)).masked_fill(clean, 0)
    return torch.atan(ratio_B / STD)


class Polynomial(Denoiser):
    """θ: an affine map of u = (x − α_t·m)/√(α_t²·s² + σ_t²), standard normal for noised data.

    Its slope and offset are polynomials in the angles of both times. The ODE of a Gaussian keeps u, so that
    the exact map is f = m + s·cos((θ_t + θ_s)/2)/cos((θ_t − θ_s)/2)·u.
    """

    second_time = True
    DEGREE = 5

    def __init__(self) -> None:
        super().__init__()
        count = (self.DEGREE + 1) * (self.DEGREE + 2) // 2
        self.weight = nn.Parameter(torch.zeros(count, 2))

    def slope_and_offset(self, t_B: Tensor, s_B: Tensor) -> Tensor:
        a, b = angle(SCHEDULE, t_B), angle(SCHEDULE, s_B)
        powers = [(p, q) for p in range(self.DEGREE + 1) for q in range(self.DEGREE + 1 - p)]
        features = torch.stack([a**p * b**q for p, q in powers], -1).float()
        return features @ self.weight

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, *, s_B: Tensor, **wanted: Any) -> Denoised:
        slope_B, offset_B = self.slope_and_offset(t_B, s_B).unbind(-1)
        return Denoised(expand(slope_B, e_t) * normalised(SCHEDULE, e_t, t_B) + expand(offset_B, e_t))


class Exact(Denoiser):
    """The exact map, in the dtype of the states."""

    second_time = True

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.schedule, self.shift = schedule, nn.Parameter(torch.zeros(()))

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, *, s_B: Tensor, **wanted: Any) -> Denoised:
        slope_B = exact_slope(self.schedule, t_B, s_B)
        return Denoised(MEAN + self.shift + expand(slope_B, e_t) * normalised(self.schedule, e_t, t_B))


def exact_slope(schedule: NoiseSchedule, t_B: Tensor, s_B: Tensor) -> Tensor:
    a, b = angle(schedule, t_B), angle(schedule, s_B)
    return STD * ((a + b) / 2).cos() / ((a - b) / 2).cos()


def normalised(schedule: NoiseSchedule, e_t: Tensor, t_B: Tensor) -> Tensor:
    alpha, sigma = expand(schedule.alpha(t_B), e_t), expand(schedule.sigma(t_B), e_t)
    return (e_t - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2).sqrt()


def test_the_closed_form_is_a_flow_map() -> None:
    """Jumps compose, a jump of no length is φ, and data noised to t come to lie as data noised to s do."""
    schedule = FlowSchedule()
    t, u, s = (schedule.tensor(time, 4) for time in (0.9, 0.5, 0.2))
    x = schedule.diffuse(torch.full((4, 3), MEAN).double(), t, torch.linspace(-2, 2, 12).double().view(4, 3))
    batch = numbers(4, 3)

    def mapped(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return jump(schedule, Exact(schedule).denoise(x, t, batch, s_B=s).x0, x, t, s)

    torch.testing.assert_close(mapped(mapped(x, t, u), u, s), mapped(x, t, s), rtol=1e-9, atol=1e-9)
    f = Exact(schedule).denoise(x, t, batch, s_B=t).x0
    phi = Gaussian(schedule, MEAN, STD).denoise(x, t, batch).x0
    torch.testing.assert_close(f, phi, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mapped(x, t, t), x, rtol=1e-9, atol=1e-9)
    moved = normalised(schedule, mapped(x, t, s), s)
    torch.testing.assert_close(moved, normalised(schedule, x, t), rtol=1e-9, atol=1e-9)
    end = schedule.tensor(schedule.min_time, 4)
    torch.testing.assert_close(mapped(x, t, end), MEAN + STD * normalised(schedule, x, t), rtol=1e-9, atol=0)


def networks_of(objective: FlowMap, theta: Denoiser, average: Denoiser, schedule: NoiseSchedule) -> Networks:
    """Return the networks of an update with the exact teacher."""
    [target] = objective.auxiliaries
    teacher = Gaussian(schedule, MEAN, STD)
    return {TEACHER: teacher, GENERATOR: student(theta, schedule), target: student(average, schedule)}


def residual(times: int, loss: str, order: int = 1) -> float:
    """Return how far, at worst, the target for the exact map lies from it per step of a fine grid."""
    schedule = FlowSchedule(0.05, 0.95)
    objective = FlowMap(options(loss=loss, times=times, order=order, to_end=0.0))
    networks = networks_of(objective, Exact(schedule), Exact(schedule), schedule)
    step = gaussian_step(objective, networks, 0, torch.float64)
    t, _, s = ways(step, objective.options)
    # The teacher's last step, below the trained range, is not short; nor is one beside the way from t to s.
    inner_B = (s > 0) & (t - s > times // 10)
    return float(objective.generator_loss(step).loss_B.detach()[inner_B].max().sqrt()) * times


@pytest.mark.parametrize("loss", ["lagrangian", "eulerian"])
def test_short_steps_are_the_derivative_conditions(loss: str) -> None:
    """Per step the exact map misses its target by O(1/N), in float64: the condition holds in the limit."""
    rough, fine, finest = (residual(times, loss) for times in (100, 1000, 10_000))
    assert rough / fine == pytest.approx(10, rel=0.4)
    assert fine / finest == pytest.approx(10, rel=0.4)
    assert finest < 2e-3
    assert residual(1000, loss, order=2) < fine / 50, "the second order's error is O(1/N²)"


def test_without_a_teachers_step_the_exact_map_misses_nothing() -> None:
    assert residual(100, "progressive") < 1e-5


def _negated(schedule: NoiseSchedule, t_B: Tensor, s_B: Tensor) -> Tensor:
    return -remaining(schedule, t_B, s_B)


def _swapped(schedule: NoiseSchedule, t_B: Tensor, s_B: Tensor) -> Tensor:
    return remaining(schedule, s_B, t_B)


def _missing(schedule: NoiseSchedule, t_B: Tensor, s_B: Tensor) -> Tensor:
    """Without the factor t − s: the length of a part is not considered."""
    return torch.full_like(t_B, 0.5, dtype=torch.float64)


@pytest.mark.parametrize("mistake", [_negated, _swapped, _missing])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_planted_mistake_is_caught(monkeypatch: pytest.MonkeyPatch, loss: str, mistake: Any) -> None:
    right = residual(1000, loss)
    monkeypatch.setattr(module, "remaining", mistake)
    assert residual(1000, loss) > 20 * right + 0.1


def test_a_jump_in_the_wrong_direction_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(schedule: NoiseSchedule, f: Tensor, x_t: Tensor, t_B: Tensor, s_B: Tensor) -> Tensor:
        return 2 * x_t - jump(schedule, f, x_t, t_B, s_B)

    for loss in LOSSES:
        right = residual(1000, loss)
        monkeypatch.setattr("dlmone.plugins.flow_map.states.jump", backwards)
        assert residual(1000, loss) > 1.5 * right + 1e-5, loss
        monkeypatch.undo()


@pytest.fixture(scope="module", params=LOSSES)
def theta(request: pytest.FixtureRequest) -> DiffusionGenerator:
    """θ distilled on Gaussian data from the exact teacher."""
    objective = FlowMap(options(loss=request.param, times=80, spacing="ratio", order=2, rate=0.5))
    return distil(objective, networks_of(objective, Polynomial(), Polynomial(), SCHEDULE), 1500)


def test_theta_becomes_the_exact_flow_map(theta: DiffusionGenerator) -> None:
    """Nine jumps, to the end and to times between."""
    ends = (0, 0, 0, 1000, 500, 700, 300, 1100, 699)
    pairs = [*zip((1999, 1500, 800, 1999, 1999, 1500, 1000, 1200, 700), ends, strict=True)]
    t_B, s_B = (torch.tensor(times) for times in zip(*pairs, strict=True))
    slope, offset = cast(Polynomial, theta.network).slope_and_offset(t_B, s_B).detach().unbind(-1)
    assert slope.tolist() == pytest.approx(exact_slope(SCHEDULE, t_B, s_B).tolist(), abs=0.04)
    assert offset.tolist() == pytest.approx([MEAN] * len(pairs), abs=0.05)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_the_student_samples_the_data_in_one_call_and_in_several(
    theta: DiffusionGenerator, calls: int
) -> None:
    batch = numbers(2000, ENTRIES)
    state = theta.generate(batch, Noise([(0, i) for i in range(len(batch))]), calls).state
    assert state is not None
    assert state.mean().item() == pytest.approx(MEAN, abs=0.05)
    assert state.std().item() == pytest.approx(STD, abs=0.04)


def test_jumps_are_deterministic_and_keep_their_noise(theta: DiffusionGenerator) -> None:
    """Unlike re-noising: in one call or four, a z leads to one place."""
    batch, noise = numbers(200, ENTRIES), Noise([(0, i) for i in range(200)])
    one, four = (cast(Tensor, theta.generate(batch, noise, calls).state) for calls in (1, 4))
    assert torch.corrcoef(torch.stack([one.flatten(), four.flatten()]))[0, 1] > 0.999


# -- a second time for the networks that come with dlmone ---------------------------------------------------

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
