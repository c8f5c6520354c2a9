"""The paper's table of α and σ, times named in three ways, and bounds of sampled times."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlmone.core import DiscreteSchedule, FlowSchedule, InputError, NoiseSchedule, TimePoint
from dlmone.core.model.schedule import discrete_schedule

SQRT = discrete_schedule("sqrt", 2000)

# t, ᾱ, α, σ, σ/α, β, the network's time: DiffuSeq's own arrays at T = 2000.
TABLE = [
    (0, 0.985358689, 0.992652, 0.121001, 0.121897, 0.0146413, 0.0),
    (1, 0.976599750, 0.988231, 0.152971, 0.154793, 0.0088891, 0.5),
    (999, 0.295780315, 0.543857, 0.839178, 1.543013, 0.00120612, 499.5),
    (1490, 0.137897651, 0.371346, 0.928495, 2.500351, 0.00211664, 745.0),
    (1976, 0.005774079, 0.075987, 0.997109, 13.12203, 0.0421376, 988.0),
    (1998, 0.000202040, 0.014214, 0.999899, 70.3456, 0.555611, 999.0),
    (1999, 2.02040e-07, 4.4949e-4, 1.000000, 2224.75, 0.999, 999.5),
]


class NoisyFlow(FlowSchedule):
    """A schedule like LangFlow's, trained only where the signal is weak: σ/α starts at 4."""

    def __init__(self) -> None:
        super().__init__(min_time=0.8, max_time=0.99)


@pytest.mark.parametrize(("t", "alpha_bar", "alpha", "sigma", "ratio", "beta", "network_time"), TABLE)
def test_sqrt_schedule_has_the_published_values(
    t: int, alpha_bar: float, alpha: float, sigma: float, ratio: float, beta: float, network_time: float
) -> None:
    time = torch.tensor(t)
    assert SQRT.alphas_cumprod[t].item() == pytest.approx(alpha_bar, rel=1e-5)
    assert SQRT.betas[t].item() == pytest.approx(beta, rel=1e-5)
    assert SQRT.alpha(time).item() == pytest.approx(alpha, abs=1e-6, rel=1e-5)
    assert SQRT.sigma(time).item() == pytest.approx(sigma, abs=1e-6)
    assert SQRT.ratio(time).item() == pytest.approx(ratio, rel=1e-5)
    assert SQRT.network_time(time).item() == network_time


def test_schedules_compute_in_float64_and_feed_the_network_float32() -> None:
    t_B = torch.tensor([0, 1490, 1999])
    for values in (SQRT.alpha(t_B), SQRT.sigma(t_B), SQRT.ratio(t_B)):
        assert values.dtype == torch.float64
        assert values.shape == t_B.shape
    assert SQRT.network_time(t_B).dtype == torch.float32


@pytest.mark.parametrize("name", ["sqrt", "linear", "cosine"])
@pytest.mark.parametrize("steps", [40, 2000])
def test_discrete_schedules_are_variance_preserving_and_monotone(name: str, steps: int) -> None:
    schedule = discrete_schedule(name, steps)
    t = torch.arange(steps)
    torch.testing.assert_close(
        schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(steps, dtype=torch.float64)
    )
    assert (schedule.ratio(t).diff() > 0).all()


@pytest.mark.parametrize(
    ("name", "betas"),
    [
        ("linear", (5e-05, 0.0050225112556278135, 0.01)),
        ("cosine", (2.0035133368456748e-05, 0.0015754077935855593, 0.999)),
    ],
)
def test_other_schedules_have_the_official_betas(name: str, betas: tuple[float, ...]) -> None:
    assert discrete_schedule(name, 2000).betas[[0, 999, 1999]].tolist() == pytest.approx(betas, rel=1e-12)


def test_paper_times_are_stable_diffusions_mapped_by_ratio() -> None:
    """DLM-One's [0, 1976] and 1490 have the σ/α of SiD-LSG's [20, 980] and 625."""
    # Stable Diffusion's 1,000 steps: β linear in its square root, from 0.00085 to 0.012.
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
    stable_diffusion = DiscreteSchedule(roots**2)
    ratios = stable_diffusion.ratio(torch.tensor([20, 625, 980]))
    assert [SQRT.time_of_ratio(ratio.item()) for ratio in ratios] == [0, 1490, 1976]


@settings(deadline=None)
@given(st.floats(0.13, 2000))
def test_time_of_ratio_finds_the_nearest_index(ratio: float) -> None:
    distances = (SQRT.ratio(torch.arange(2000)) - ratio).abs()
    assert distances[int(SQRT.time_of_ratio(ratio))] == distances.min()


@settings(deadline=None)
@given(st.floats(1e-3, 1e3))
def test_flow_schedule_inverts_its_ratio(ratio: float) -> None:
    time = torch.tensor(FlowSchedule().time_of_ratio(ratio), dtype=torch.float64)
    assert FlowSchedule().ratio(time).item() == pytest.approx(ratio, rel=1e-9)


def test_flow_schedule_is_linear_and_not_variance_preserving() -> None:
    t = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    flow = FlowSchedule()
    assert flow.alpha(t).tolist() == [1.0, 0.75, 0.0]
    assert flow.sigma(t).tolist() == [0.0, 0.25, 1.0]
    assert flow.network_time(t).dtype == torch.float32


@pytest.mark.parametrize(
    ("schedule", "point", "time"),
    [
        (SQRT, TimePoint(time=1490), 1490),
        (SQRT, TimePoint(ratio=2.5), 1490),
        (SQRT, TimePoint(ratio=0.115), 0),
        (SQRT, TimePoint(quantile=0.0), 0),
        (SQRT, TimePoint(quantile=0.25), 500),
        (SQRT, TimePoint(quantile=1.0), 1999),
        (FlowSchedule(), TimePoint(time=0.3), 0.3),
        (FlowSchedule(), TimePoint(ratio=1.0), 0.5),
        (FlowSchedule(), TimePoint(ratio=math.inf), 1.0),
        (FlowSchedule(0.2, 0.6), TimePoint(quantile=0.5), 0.4),
        (NoisyFlow(), TimePoint(ratio=9.0), 0.9),
    ],
)
def test_resolve_names_a_time_by_index_ratio_or_quantile(
    schedule: NoiseSchedule, point: TimePoint, time: float
) -> None:
    assert schedule.resolve(point) == pytest.approx(time)


@pytest.mark.parametrize(
    ("schedule", "point", "sentence"),
    [
        (SQRT, TimePoint(time=2000), r"t_init: time 2000 .* goes from 0 to 1999"),
        (SQRT, TimePoint(time=-1), r"time -1 .* goes from 0 to 1999"),
        (SQRT, TimePoint(time=math.nan), r"time nan .* goes from 0 to 1999"),
        (SQRT, TimePoint(time=1490.5), r"whole steps, so 1490\.5 is no time"),
        (SQRT, TimePoint(ratio=0.05), r"σ/α = 0\.05 .* goes from 0\.1219 to 2225"),
        (SQRT, TimePoint(ratio=3000), r"σ/α = 3000 .* goes from 0\.1219 to 2225"),
        (SQRT, TimePoint(quantile=1.1), r"between 0 and 1, not at 1\.1"),
        (FlowSchedule(), TimePoint(time=1.5), r"time 1\.5 .* goes from 0\.001 to 1$"),
        (NoisyFlow(), TimePoint(ratio=2.5), r"σ/α = 2\.5 .* goes from 4 to 99$"),
    ],
)
def test_resolve_refuses_times_outside_the_trained_range_and_names_it(
    schedule: NoiseSchedule, point: TimePoint, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        schedule.resolve(point, "t_init")


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 1998), st.integers(1, 1999))
def test_discrete_samples_exclude_the_upper_end(uniform: float, low: int, span: int) -> None:
    t_B = SQRT.sample(torch.tensor([uniform], dtype=torch.float64), low, low + span)
    assert t_B.dtype == torch.int64
    assert low <= t_B.item() < low + span


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_continuous_samples_exclude_the_upper_end(uniform: float, ends: list[float]) -> None:
    low, high = sorted(ends)
    t_B = FlowSchedule().sample(torch.tensor([uniform], dtype=torch.float64), low, high)
    assert t_B.dtype == torch.float64
    assert low <= t_B.item() < high or low == high


def test_samples_cover_the_range_evenly() -> None:
    uniform_B = torch.arange(1976, dtype=torch.float64) / 1976 + 1e-9
    assert SQRT.sample(uniform_B, 0, 1976).tolist() == list(range(1976))


@pytest.mark.parametrize("schedule", [SQRT, FlowSchedule()])
def test_diffuse_mixes_signal_and_noise(schedule: NoiseSchedule) -> None:
    e, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    t_B = schedule.tensor(schedule.max_time, 2) if schedule.discrete else torch.tensor([0.2, 0.7])
    e_t = schedule.diffuse(e, t_B, noise)
    alpha_B, sigma_B = schedule.alpha(t_B).float(), schedule.sigma(t_B).float()
    expected = torch.stack([alpha_B[b] * e[b] + sigma_B[b] * noise[b] for b in range(2)])
    torch.testing.assert_close(e_t, expected)
    assert e_t.dtype == e.dtype


def test_tensor_has_the_schedules_dtype() -> None:
    assert SQRT.tensor(1490, 3).tolist() == [1490] * 3
    assert SQRT.tensor(1490, 3).dtype == torch.int64
    assert FlowSchedule().tensor(0.5, 3).dtype == torch.float64


def test_network_time_is_raw_without_rescaling() -> None:
    assert discrete_schedule("sqrt", 40).network_time(torch.tensor(39)).item() == 975.0
    assert discrete_schedule("sqrt", 40, network_steps=None).network_time(torch.tensor(39)).item() == 39.0


@pytest.mark.parametrize(
    "betas", [torch.tensor([0.1]), torch.tensor([0.1, 0.0]), torch.tensor([0.1, 1.5]), torch.ones(2, 2)]
)
def test_betas_must_form_a_chain(betas: Tensor) -> None:
    with pytest.raises(InputError, match="at least two β"):
        DiscreteSchedule(betas)


def test_an_unknown_schedule_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'squared'; there are sqrt, linear, cosine"):
        discrete_schedule("squared", 2000)
