"""plugins/diffuseq/samplers.py against outputs of the official code."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import (
    Batch,
    Denoised,
    FlowSchedule,
    Generated,
    InputError,
    Noise,
    SampledGenerator,
    Sampler,
)
from dlmone.core.model.prediction import to_x0
from dlmone.core.model.schedule import DiscreteSchedule, discrete_schedule
from dlmone.core.sampling import ddim
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.network import DiffuSeqNetwork
from dlmone.plugins.diffuseq.options import DDPMOptions, DiffuSeqOptions, SamplerOptions
from dlmone.plugins.diffuseq.samplers import (
    DiffuSeqDDIM,
    DiffuSeqDDPM,
    ddim_gap,
    ddim_step,
    ddpm_step,
    posterior_mean,
)
from dlmone.plugins.diffuseq.space import DiffuSeqSpace
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.tokenizers.words import words
from dlmone.testing import check_sampler
from dlmone.testing.toy import EXAMPLES

DATA = Path(__file__).parents[2] / "data"
WEIGHTS = load_file(DATA / "diffuseq" / "small_model.safetensors")
STEP = load_file(DATA / "diffuseq_loops" / "diffusion.safetensors")
LOOP = load_file(DATA / "diffuseq_loops" / "loops.safetensors")
STEP_TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
LOOP_TOLERANCE = {"atol": 5e-5, "rtol": 0.0}
SQRT = discrete_schedule("sqrt", 2000)


class Recording(DiffuSeqNetwork):
    """The official small model; remembers the states it was given."""

    def __init__(self, schedule: DiscreteSchedule) -> None:
        super().__init__(
            schedule,
            hidden_dim=16,
            hidden_t_dim=32,
            width=64,
            layers=2,
            heads=2,
            feedforward=128,
            max_positions=40,
        )
        self.load_state_dict({key: WEIGHTS[key] for key in self.state_dict()})
        self.eval()
        self.states: list[Tensor] = []

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        self.states.append(e_t)
        return super().denoise(e_t, t_B, batch, features=features)


class Replayed(Noise):
    """The official run's noise: ``z`` is the start, ``z1`` the first step's."""

    def __init__(self, start: Tensor, steps: Tensor | None = None) -> None:
        super().__init__([(row,) for row in range(len(start))])
        self.draws = {"z": start}
        if steps is not None:
            self.draws |= {f"z{i}": draw for i, draw in enumerate(steps, start=1)}

    def normal(self, name: str, shape: object) -> Tensor:
        return self.draws[name]


def small_space(schedule: DiscreteSchedule) -> DiffuSeqSpace:
    space = DiffuSeqSpace(Tokenizer(words(["word"])), schedule, seq_len=24, hidden_dim=16, vocab_size=200)
    space.load_state_dict({key: WEIGHTS[key] for key in space.state_dict()})
    return space


BATCH = Batch(("0", "1", "2", "3"), LOOP["input_ids"], LOOP["input_mask"].bool())


def run(sampler: Sampler, schedule: DiscreteSchedule, steps: int) -> tuple[Generated, list[Tensor]]:
    """Generate from the official loops' noise; also return every state the network saw."""
    network = Recording(schedule)
    noise = Replayed(LOOP["init_noise"], LOOP["ddpm40_noise"])
    generated = SampledGenerator(network, small_space(schedule), sampler).generate(BATCH, noise, steps)
    assert generated.calls == len(network.states)
    return generated, network.states


def check_loop(name: str, generated: Generated, states: list[Tensor]) -> None:
    """Compare start, first step, last step and ids with an official loop's."""
    assert generated.state is not None
    torch.testing.assert_close(states[0], LOOP["x_noised"], **LOOP_TOLERANCE)
    first = states[1] if len(states) > 1 else generated.state
    torch.testing.assert_close(first, LOOP[f"{name}_first"], **LOOP_TOLERANCE)
    torch.testing.assert_close(generated.state, LOOP[f"{name}_last"], **LOOP_TOLERANCE)
    target_BL = BATCH.target_BL
    assert torch.equal(generated.tokens_BL[target_BL], LOOP[f"{name}_ids"][target_BL])
    assert torch.equal(generated.tokens_BL[~target_BL], BATCH.tokens_BL[~target_BL])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("raw", DDPMOptions(rounding=False)),
        ("round", DDPMOptions()),
        ("clamp_step20", DDPMOptions(clamp_step=20)),
    ],
)
def test_ddpm_loop_is_the_official_one(name: str, options: DDPMOptions) -> None:
    generated, states = run(DiffuSeqDDPM(options), discrete_schedule("sqrt", 40), steps=40)
    assert generated.calls == 40
    check_loop(f"ddpm40_{name}", generated, states)


@pytest.mark.parametrize("rounding", [False, True], ids=["raw", "round"])
@pytest.mark.parametrize(("steps", "gap"), [(64, 31), (20, 100), (2, 1000), (1, 2000)])
def test_ddim_loop_is_the_official_one(steps: int, gap: int, rounding: bool) -> None:
    generated, states = run(DiffuSeqDDIM(SamplerOptions(rounding=rounding)), SQRT, steps)
    assert generated.calls == LOOP[f"ddim_gap{gap}_nfe"].item()
    check_loop(f"ddim_gap{gap}_{'round' if rounding else 'raw'}", generated, states)


@pytest.mark.parametrize(
    ("steps", "gap", "calls"),
    [
        (1, 2000, 1),
        (2, 1000, 2),
        (63, 31, 65),
        (64, 31, 65),
        (251, 7, 286),
        (285, 7, 286),
        (501, 3, 667),
        (666, 3, 667),
        (1000, 2, 1000),
        (1001, 1, 2000),
        (2000, 1, 2000),
    ],
)
def test_gaps_give_the_call_counts_of_the_paper(steps: int, gap: int, calls: int) -> None:
    assert ddim_gap(2000, steps) == gap
    assert len(DiffuSeqDDIM(SamplerOptions()).times(SQRT, steps)) == calls


@pytest.mark.parametrize("variant", ["raw", "round"])
def test_single_steps_are_the_official_ones(variant: str) -> None:
    x0, x_t, t_B = STEP[f"p_mean_variance_{variant}_pred_xstart"], STEP["x_t"], STEP["t"]
    given_BL1 = (STEP["input_mask"] == 0)[..., None]
    mean = posterior_mean(SQRT, x0, x_t, t_B)
    torch.testing.assert_close(mean, STEP[f"p_mean_variance_{variant}_mean"], **STEP_TOLERANCE)
    sample = torch.where(given_BL1, STEP["x_start"], ddpm_step(SQRT, x0, x_t, t_B, STEP["step_noise"]))
    torch.testing.assert_close(sample, STEP[f"p_sample_{variant}_sample"], **STEP_TOLERANCE)
    sample = torch.where(given_BL1, STEP["x_start"], ddim_step(SQRT, x0, x_t, t_B))
    torch.testing.assert_close(sample, STEP[f"ddim_{variant}_eta0_sample"], **STEP_TOLERANCE)


def test_network_and_rounding_give_the_official_predictions() -> None:
    batch = Batch(BATCH.ids, BATCH.tokens_BL, STEP["input_mask"].bool())
    with torch.no_grad():
        x0 = Recording(SQRT).denoise(STEP["x_t"], STEP["t"], batch).x0
        rounded = small_space(SQRT).round(x0)
    torch.testing.assert_close(x0, STEP["p_mean_variance_raw_pred_xstart"], **STEP_TOLERANCE)
    assert torch.equal(rounded, STEP["p_mean_variance_round_pred_xstart"])


def test_posterior_of_the_forward_process_is_the_official_one() -> None:
    mean = posterior_mean(SQRT, STEP["x_start"], STEP["x_t"], STEP["t"])
    torch.testing.assert_close(mean, STEP["q_posterior_mean"], **STEP_TOLERANCE)


def test_conversions_from_noise_to_x0_are_the_official_ones() -> None:
    x_t, t_B = STEP["x_t"], STEP["t"]
    alpha_B, sigma_B = SQRT.alpha(t_B), SQRT.sigma(t_B)
    # At t = 1999 the official float32 loses x0 in 2224·x_t − 2224·ε.
    well = t_B < 1999
    official = to_x0("epsilon", STEP["eps_from_xstart"], x_t, alpha_B, sigma_B)
    torch.testing.assert_close(
        official[well], STEP["p_mean_variance_raw_pred_xstart"][well], **STEP_TOLERANCE
    )
    noise = load_file(DATA / "diffuseq" / "forward.safetensors")["noise"]
    x0 = to_x0("epsilon", noise, x_t, alpha_B, sigma_B)
    torch.testing.assert_close(x0[well], STEP["xstart_from_eps"][well], **STEP_TOLERANCE)


@pytest.mark.parametrize("eta", [0, 1])
def test_the_general_ddim_agrees_at_neighbouring_times(eta: int) -> None:
    """Where the next call is at t − 1 the official step and `ddim`'s are one formula, at η = 1 too."""
    later = STEP["t"] > 0
    x0, x_t, t_B, fresh = (
        STEP[name][later] for name in ("p_mean_variance_raw_pred_xstart", "x_t", "t", "step_noise")
    )
    x_s = ddim.ddim_step(SQRT, x0, x_t, t_B, t_B - 1, eta, fresh if eta else None)
    generated_BL1 = (STEP["input_mask"][later] == 1)[..., None]
    expected = STEP[f"ddim_raw_eta{eta}_sample"][later]
    torch.testing.assert_close(x_s * generated_BL1, expected * generated_BL1, **STEP_TOLERANCE)


def test_rounding_stops_below_the_clamp_step() -> None:
    sampler = DiffuSeqDDPM(DDPMOptions(clamp_step=20))
    assert [t for t in range(40) if sampler.rounds_at(t)] == list(range(20, 40))
    assert not DiffuSeqDDPM(DDPMOptions(rounding=False)).rounds_at(39)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [(DiffuSeqDDPM(DDPMOptions()), 30), (DiffuSeqDDIM(SamplerOptions()), 4)],
    ids=["ddpm", "ddim"],
)
def test_official_samplers_keep_the_contract(sampler: Sampler, steps: int) -> None:
    torch.manual_seed(0)
    options = DiffuSeqOptions(
        seq_len=16,
        hidden_dim=8,
        hidden_t_dim=8,
        width=16,
        layers=1,
        heads=2,
        diffusion_steps=30,
        tokenizer="words",
    )
    check_sampler(sampler, steps=steps, teacher=DiffuSeqTeacher.build(options, EXAMPLES).eval())


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(InputError, match="all 40 diffusion steps, so it cannot take 20"):
        run(DiffuSeqDDPM(DDPMOptions()), discrete_schedule("sqrt", 40), steps=20)
    for steps in (0, 2001):
        with pytest.raises(InputError, match=f"1 to 2000 steps of this model, not {steps}"):
            run(DiffuSeqDDIM(SamplerOptions()), SQRT, steps)
    space = small_space(SQRT)
    space.schedule = FlowSchedule()
    sampler = DiffuSeqDDIM(SamplerOptions())
    with pytest.raises(InputError, match="whole time steps; use ddim"):
        sampler.sample(Recording(SQRT), space, BATCH, Replayed(LOOP["init_noise"]), 1)
