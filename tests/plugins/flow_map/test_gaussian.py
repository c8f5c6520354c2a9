"""Flow-map distillation of a Gaussian, whose flow map has a closed form."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import GENERATOR, TEACHER, Batch, Denoised, Denoiser, DiffusionGenerator, FlowSchedule, Noise
from dlmone.core.model.schedule import NoiseSchedule, expand
from dlmone.core.sampling.flow_map import jump, remaining
from dlmone.plugins.flow_map import objective as module
from dlmone.plugins.flow_map.objective import FlowMap
from dlmone.plugins.flow_map.states import ways
from dlmone.testing.known import Gaussian, numbers
from dlmone.testing.oracle import ENTRIES

from ..on_gaussians import MEAN, SCHEDULE, STD, Networks, distil, gaussian_step, student
from .small import LOSSES, options


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
