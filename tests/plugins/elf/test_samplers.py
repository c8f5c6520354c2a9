"""plugins/elf/samplers.py: 13 official runs, guidance both ways, starts, the count of calls, the contract."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch, InputError, Noise, SampledGenerator, Start
from dlmone.plugins.elf.options import SamplerOptions
from dlmone.plugins.elf.samplers import ElfSampler, velocity
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.testing import Watched, check_sampler, toy_teacher
from dlmone.testing.toy import EXAMPLES

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[..., Batch]
RUNS = json.loads((Path(__file__).parents[2] / "data" / "elf" / "config.json").read_text())["sampler_runs"]


def sampler_of(run: dict[str, Any]) -> ElfSampler:
    return ElfSampler(
        SamplerOptions(
            method=run["method"],
            gamma=run["gamma"],
            guidance=run["w"],
            condition_guidance=run["cfg"],
            spacing={"uniform": "time"}.get(run["schedule"], run["schedule"]),
        )
    )


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['tag']}_n{run['steps']}")
def test_official_runs(
    small: ElfTeacher,
    small_text: ElfTeacher,
    official: Official,
    batch_of: BatchOf,
    recorded: Callable[..., Noise],
    run: dict[str, Any],
) -> None:
    steps, every = run["steps"], official("samplers")
    prefix = f"{run['tag']}_n{steps}_"
    wanted = {key.removeprefix(prefix): value for key, value in every.items() if key.startswith(prefix)}
    conditional = run["tag"].startswith("cond")
    teacher = small if conditional else small_text
    ids_BL = torch.zeros(2, 24, dtype=torch.long)
    batch = batch_of(ids_BL, every["cond_seq_mask"], every["cond_seq"]) if conditional else batch_of(ids_BL)
    grid_N = wanted["t_steps"].double()
    draws = {"z": wanted["z0_normal"], "times": ((torch.logit(grid_N[1:-1]) + 1.5) / 0.8).expand(2, -1)}
    draws |= {f"z{i}": fresh for i, fresh in enumerate(wanted.get("eps_normal", ()), start=1)}
    network, sampler = Watched(teacher.network), sampler_of(run)
    state, calls = sampler.sample(network, teacher.space, batch, recorded(2, **draws), steps)
    assert calls == len(network.calls) == run["network_calls"]
    torch.testing.assert_close(state, wanted["z_final"], rtol=0, atol=2e-5)
    # Where each kept step led to, and its estimate: the next call's state and self-condition.
    with_condition = network.calls[run["cfg"] - 1 :: run["cfg"]]
    for i, (z, x) in zip(wanted["steps_kept"].tolist(), wanted["z_and_xpred"], strict=True):
        if i + 1 < steps:
            torch.testing.assert_close(with_condition[i + 1].previous, x, rtol=0, atol=2e-5)
            if run["method"] == "ode":
                torch.testing.assert_close(with_condition[i + 1].e_t, z, rtol=0, atol=2e-5)
    tokens_BL, further = sampler.decode(teacher.network, teacher.space, state, batch)
    assert further == run["decode_calls"]
    assert torch.equal(tokens_BL[batch.target_BL], wanted["ids"][batch.target_BL])
    if "ids_final" in wanted:
        assert torch.equal(teacher.space.answers(tokens_BL, batch), wanted["ids_final"])


@pytest.mark.parametrize("time", ["0.0", "0.3", "0.98"])
@pytest.mark.parametrize("guidance", [1, 3])
@pytest.mark.parametrize("condition_guidance", [1, 2])
def test_guidance_is_official(
    small: ElfTeacher,
    official: Official,
    batch_of: BatchOf,
    time: str,
    guidance: int,
    condition_guidance: int,
) -> None:
    g, space = official("guidance"), small.space
    batch = batch_of(torch.zeros(4, 24, dtype=torch.long), g["cond_seq_mask"], g["x0"])
    sampler = ElfSampler(SamplerOptions(guidance=guidance, condition_guidance=condition_guidance))
    batches = [space.null_condition(batch), batch] if condition_guidance != 1 else [batch]
    z, previous = g[f"z_t{time}"], g[f"x_prev_t{time}"]
    t_B = torch.full((4,), float(time), dtype=torch.float64)
    x = space.pin(sampler._estimate(small.network, space, z, 1 - t_B, batches, previous), g["x0"], batch)
    name = f"t{time}_cfg{condition_guidance}_w{guidance}"
    torch.testing.assert_close(x, g[f"x_{name}"], rtol=0, atol=1e-5)
    wanted = g[f"v_{name}"]
    v = space.pin(velocity(z, x, t_B), torch.zeros_like(z), batch)
    torch.testing.assert_close(v, wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


def test_the_call_that_reads_tokens_is_counted(small: ElfTeacher) -> None:
    batch = small.space.collate(EXAMPLES[:2])
    noise = Noise([(0, id) for id in batch.ids])
    for options, calls in (({}, 5), ({"condition_guidance": 2.0}, 9), ({"method": "sde"}, 5)):
        sampler = ElfSampler(SamplerOptions.model_validate(options))
        assert SampledGenerator(small.network, small.space, sampler).generate(batch, noise, 4).calls == calls


def test_each_sample_has_times_of_its_own(small: ElfTeacher) -> None:
    sampler, noise = ElfSampler(SamplerOptions()), Noise([(0, "a"), (0, "b")])
    times_BN = sampler.times(small.space.schedule, noise, 16, 1.0)
    assert torch.equal(times_BN[:, 0], torch.zeros(2))
    assert torch.equal(times_BN[:, -1], torch.ones(2))
    assert (times_BN.diff(dim=1) > 0).all()
    assert not torch.equal(times_BN[0], times_BN[1])
    assert torch.equal(sampler.times(small.space.schedule, Noise([(0, "b")]), 16, 1.0)[0], times_BN[1])
    many = sampler.times(small.space.schedule, Noise([(0, "a")]), 20_000, 1.0)[0, 1:-1]
    assert float(many.median()) == pytest.approx(torch.sigmoid(torch.tensor(-1.5)).item(), abs=0.01)
    later = sampler.times(small.space.schedule, noise, 16, 0.75)
    torch.testing.assert_close(later, 0.25 + 0.75 * times_BN)


def test_times_can_be_even_in_noise_where_the_start_has_signal(small: ElfTeacher) -> None:
    schedule, noise = small.space.schedule, Noise([(0, "a"), (0, "b")])

    def times(spacing: object, start: float) -> Tensor:
        options = SamplerOptions.model_validate({"spacing": spacing})
        return ElfSampler(options).times(schedule, noise, 4, start)

    for spacing, measure in (("ratio", lambda ratio: ratio ** (1 / 7)), ("log_snr", torch.log)):
        times_BN = times(spacing, 0.9)
        torch.testing.assert_close(times_BN[:, [0, -1]], torch.tensor([[0.1, 1.0]] * 2).double())
        noisiness = measure(schedule.ratio(1 - times_BN[0, :-1]))
        torch.testing.assert_close(noisiness.diff(), noisiness.diff()[:1].expand(3))
    torch.testing.assert_close(times([0.7, 0.5, 0.2], 0.9)[1], torch.tensor([0.1, 0.3, 0.5, 0.8, 1]).double())
    with pytest.raises(InputError, match=r'^spacing: σ/α has no end at 1, the first time; use "time"$'):
        times("ratio", 1.0)


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "sde", "guidance": 2.5}, {"spacing": "time"}, {"condition_guidance": 2.0}],
    ids=str,
)
def test_the_contract(small: ElfTeacher, options: dict[str, Any]) -> None:
    if options.get("condition_guidance", 1) == 1:
        check_sampler(ElfSampler(SamplerOptions(**options)), teacher=small)
        return
    # Half of its calls see the null condition, which is pinned too, to zeros.
    batch = small.space.collate(EXAMPLES)
    network, noise = Watched(small.network), Noise([(0, id) for id in batch.ids])
    state, calls = ElfSampler(SamplerOptions(**options)).sample(network, small.space, batch, noise, 3)
    assert calls == len(network.calls) == 6
    given = small.space.embed_condition(batch)
    assert torch.equal(small.space.pin(state, given, batch), state)
    for i, call in enumerate(network.calls):
        pinned_to = given if i % 2 else torch.zeros_like(given)
        assert torch.equal(small.space.pin(call.e_t, pinned_to, batch), call.e_t)


def test_one_step_is_one_call_at_pure_noise(small_text: ElfTeacher, batch_of: BatchOf) -> None:
    batch = batch_of(torch.zeros(2, 24, dtype=torch.long))
    noise = Noise([(0, "a"), (0, "b")])
    z = 2 * noise.normal("z", (24, 16))
    wanted = small_text.network.denoise(z, torch.ones(2), batch, guidance=2.5).x0
    for method in ("ode", "sde"):
        sampler = ElfSampler(SamplerOptions.model_validate({"method": method, "guidance": 2.5}))
        state, _ = sampler.sample(small_text.network, small_text.space, batch, noise, 1)
        torch.testing.assert_close(state, wanted)
    # A student begins where it was trained to.
    network = Watched(small_text.network)
    ElfSampler(SamplerOptions()).sample(network, small_text.space, batch, noise, 2, Start(0.8))
    torch.testing.assert_close(network.calls[0].e_t, 0.8 * z)
    torch.testing.assert_close(network.calls[0].t_B, torch.full((2,), 0.8, dtype=torch.float64))


def test_other_models_are_refused() -> None:
    toy = toy_teacher()
    batch = toy.space.collate(EXAMPLES)
    with pytest.raises(InputError, match="this model has not; use ddim here"):
        ElfSampler(SamplerOptions()).sample(toy.network, toy.space, batch, Noise([]), 2)
