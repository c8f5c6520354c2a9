"""Where gradient goes and where it ends, what is computed once, what is never computed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    START,
    TEACHER,
    DiffusionScoreEstimator,
    GeneratorInput,
    Gradient,
    Noised,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.step.context import frozen
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.plugins.diff_instruct.objective import DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions
from dlmone.plugins.diffusion_gan.objective import DiffusionGAN
from dlmone.plugins.diffusion_gan.options import DiffusionGANOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.testing import ToyTeacher, Watched, new_step
from dlmone.testing.toy import EXAMPLES

# A prefactor without gradient would part finite differences from the gradient: constant prefactors here.
SID = SiD(SiDOptions(mu=1.2, weighting="score"))
DI = DiffInstruct(DiffInstructOptions(weighting="score"))
GAN = DiffusionGAN(DiffusionGANOptions())


class Decay(Objective):
    """An objective that needs no other network: θ's output should be small."""

    def requests(self, role: Role) -> Sequence[Request] | None:
        return () if role == "generator" else None

    def generator_loss(self, context: StepContext) -> Term:
        return Term(masked_mean(context.e_fake**2, context.mask), {})


def step_of(toy: ToyTeacher, role: Role, *objectives: Objective, **options: Any) -> StepContext:
    """A step with watched networks and all that the objectives request."""
    requests = [request for objective in objectives for request in objective.requests(role) or ()]
    brought = [network for objective in objectives for network in objective.auxiliaries]
    return new_step(toy, role, requests, auxiliaries=brought, wrap=Watched, **options)


def loss_of(step: StepContext, *objectives: Objective) -> Tensor:
    terms = (getattr(objective, f"{step.role}_loss")(step) for objective in objectives)
    return sum(term.loss_B.sum() for term in terms)


def calls(step: StepContext) -> dict[str, int]:
    return {name: len(network.calls) for name, network in networks(step).items()}


def networks(step: StepContext) -> dict[str, Watched]:
    psi = cast(DiffusionScoreEstimator, step.networks[ESTIMATOR])
    found = {"φ": step.networks[TEACHER], "ψ": psi.network, "θ": step.generator.network}
    return cast(dict[str, Watched], found)


def gradients(network: nn.Module) -> list[Tensor]:
    return [p.grad for p in network.parameters() if p.grad is not None]


def slope_of(step: StepContext, *objectives: Objective) -> Tensor:
    """The gradient at the generator's output."""
    (slope,) = torch.autograd.grad(loss_of(step, *objectives), step.e_fake)
    return slope


def finite_differences(toy: ToyTeacher, *objectives: Objective) -> Tensor:
    """The same for two examples, by central differences."""
    e = step_of(toy, "generator", *objectives, examples=EXAMPLES[:2]).e_fake.detach()

    def loss_at(e: Tensor) -> Tensor:
        step = step_of(toy, "generator", *objectives, examples=EXAMPLES[:2])
        step.e_fake = e
        return loss_of(step, *objectives)

    units = torch.eye(e.numel(), dtype=e.dtype).view(-1, *e.shape)
    with torch.no_grad():
        slopes = [(loss_at(e + 1e-5 * unit) - loss_at(e - 1e-5 * unit)) / 2e-5 for unit in units]
    return torch.stack(slopes).view_as(e)


@pytest.mark.parametrize("objectives", [(SID,), (GAN,), (Decay(),)], ids=["sid", "gan", "decay"])
def test_the_gradient_at_the_output_is_that_of_the_loss(
    toy: ToyTeacher, objectives: tuple[Objective, ...]
) -> None:
    slope = slope_of(step_of(toy, "generator", *objectives, examples=EXAMPLES[:2]), *objectives)
    torch.testing.assert_close(slope, finite_differences(toy, *objectives), rtol=1e-6, atol=1e-9)
    assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("dropped", ["teacher", "estimator"])
def test_sid_differentiates_through_both_networks(toy: ToyTeacher, dropped: str) -> None:
    """With either path cut the gradient is another one, so the test above sees both."""
    objective = SiD(SiDOptions(mu=1.2, weighting="score"))
    kept = {"teacher": "phi", "estimator": "psi"}[dropped]
    setattr(objective, kept, replace(getattr(objective, kept), gradient=Gradient.CONSTANT))
    cut = slope_of(step_of(toy, "generator", objective), objective)
    whole = slope_of(step_of(toy, "generator", SID), SID)
    assert (cut - whole).norm() > 0.01 * whole.norm()


def test_diff_instruct_takes_the_difference_of_the_scores_for_a_constant(toy: ToyTeacher) -> None:
    step = step_of(toy, "generator", DI)
    slope = slope_of(step, DI)
    with torch.no_grad():
        scale_B = (step.alpha_B**2 / step.sigma_B**4) / (step.mask.sum((1, 2)) * step.e_fake.shape[2])
        expected = scale_B[:, None, None] * (step[DI.psi].x0 - step[DI.phi].x0) * step.mask
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=0)


def test_a_term_keeps_its_gradient_beside_one_that_needs_none(toy: ToyTeacher) -> None:
    """Diff-Instruct reads e_t first, for passes without a graph; the GAN's must have one all the same."""
    together = slope_of(step_of(toy, "generator", DI, GAN), DI, GAN)
    apart = sum(slope_of(step_of(toy, "generator", one), one) for one in (DI, GAN))
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-14)


def test_in_the_generators_role_only_theta_gets_gradient(toy: ToyTeacher) -> None:
    step = step_of(toy, "generator", SID, GAN)
    psi = step.networks[ESTIMATOR].requires_grad_(True)
    with frozen(psi):
        loss = loss_of(step, SID, GAN)
        loss.backward(retain_graph=True)
        assert not gradients(step.generator), "the output is a leaf: terms end there"
        step.backward(loss)
    assert any(grad.any() for grad in gradients(step.generator))
    assert not gradients(step.networks[TEACHER])
    assert not gradients(psi)


def test_theta_learns_what_the_whole_chain_says(toy: ToyTeacher) -> None:
    step = step_of(toy, "generator", SID, GAN)
    step.backward(loss_of(step, SID, GAN))
    ahead, behind = (step_of(toy, "generator", SID, GAN) for _ in range(2))
    along = gradients(step.generator)
    with torch.no_grad():
        for moved, width in ((ahead, 1e-5), (behind, -1e-5)):
            for parameter, grad in zip(moved.generator.parameters(), along, strict=True):
                parameter += width * grad
        difference = (loss_of(ahead, SID, GAN) - loss_of(behind, SID, GAN)) / 2e-5
    assert difference.item() == pytest.approx(sum(grad.square().sum().item() for grad in along), rel=1e-6)


def test_in_the_estimators_role_only_psi_gets_gradient(toy: ToyTeacher) -> None:
    step = step_of(toy, "estimator", SID, GAN)
    loss_of(step, SID, GAN).backward()
    psi = step.networks[ESTIMATOR]
    assert all(grad.any() for grad in gradients(psi))
    assert len(gradients(psi)) == len(list(psi.parameters()))
    assert not step.e_fake.requires_grad
    assert not gradients(step.generator)
    assert not gradients(step.networks[TEACHER])


@pytest.mark.parametrize(
    ("role", "objectives", "expected"),
    [
        ("generator", (SID,), {"φ": 1, "ψ": 1, "θ": 1}),
        ("generator", (SID, GAN), {"φ": 1, "ψ": 1, "θ": 1}),
        ("generator", (SID, DI, GAN), {"φ": 1, "ψ": 1, "θ": 1}),
        ("generator", (GAN,), {"φ": 0, "ψ": 1, "θ": 1}),
        ("generator", (Decay(),), {"φ": 0, "ψ": 0, "θ": 1}),
        ("estimator", (SID,), {"φ": 0, "ψ": 1, "θ": 1}),
        ("estimator", (SID, GAN), {"φ": 0, "ψ": 2, "θ": 1}),  # the fakes, the real pairs
    ],
)
def test_each_evaluation_is_one_pass_or_none(
    toy: ToyTeacher, role: Role, objectives: tuple[Objective, ...], expected: dict[str, int]
) -> None:
    step = step_of(toy, role, *objectives)
    loss_of(step, *objectives)
    assert calls(step) == expected


@pytest.mark.parametrize(
    ("objectives", "graphs"),
    [
        ((SID,), {"φ": True, "ψ": True}),
        ((DI,), {"φ": False, "ψ": False}),
        ((DI, GAN), {"φ": False, "ψ": True}),
        ((SID, DI), {"φ": True, "ψ": True}),
    ],
    ids=["sid", "di", "di+gan", "sid+di"],
)
def test_a_graph_is_kept_only_where_gradient_flows(
    toy: ToyTeacher, objectives: tuple[Objective, ...], graphs: dict[str, bool]
) -> None:
    step = step_of(toy, "generator", *objectives)
    loss_of(step, *objectives)
    assert {name: networks(step)[name].calls[0].graph for name in graphs} == graphs


@pytest.mark.parametrize(("objectives", "features"), [((SID,), False), ((SID, GAN), True)])
def test_features_are_asked_for_only_by_a_discriminator(
    toy: ToyTeacher, objectives: tuple[Objective, ...], features: bool
) -> None:
    step = step_of(toy, "generator", *objectives)
    loss_of(step, *objectives)
    assert networks(step)["ψ"].calls[0].features is features
    assert not networks(step)["φ"].calls[0].features


@pytest.mark.parametrize("role", ["generator", "estimator"])
def test_the_condition_is_pinned_in_all_that_networks_see(toy: ToyTeacher, role: Role) -> None:
    step = step_of(toy, role, SID, GAN)
    loss_of(step, SID, GAN)
    seen = [(step.e_fake, step.fake)]
    seen += [(call.e_t, call.batch) for network in networks(step).values() for call in network.calls]
    assert len(seen) == 4
    for state, batch in seen:
        given, clean = ~toy.space.generated(batch), toy.space.embed(batch)
        assert torch.equal(state * given, clean * given)
        assert (state != clean).logical_and(~given).any()


def test_e_t_is_the_forward_diffusion_of_the_output(toy: ToyTeacher) -> None:
    step = step_of(toy, "generator", SID)
    epsilon = step.noise.normal("epsilon", toy.space.state_shape)
    noisy = step.alpha_B[:, None, None] * step.e_fake + step.sigma_B[:, None, None] * epsilon
    e_t = step.point(Noised()).e_t
    torch.testing.assert_close(e_t * step.mask, noisy * step.mask, rtol=1e-12, atol=0)
    low, high = (toy.space.schedule.time_of_quantile(quantile) for quantile in (0.1, 0.9))
    assert ((step.t_B >= low) & (step.t_B < high)).all()
    assert len(step.t_B.unique()) == len(step.fake), "one t a sample"


def test_real_and_fake_share_their_times(toy: ToyTeacher) -> None:
    step = step_of(toy, "estimator", SID, GAN)
    loss_of(step, SID, GAN)
    fake, real = networks(step)["ψ"].calls
    assert fake.batch.ids != real.batch.ids
    assert torch.equal(fake.t_B, step.t_B)
    assert torch.equal(real.t_B, step.t_B)


@pytest.mark.parametrize("shared", [True, False])
def test_real_and_fake_share_their_noise_only_when_their_keys_do(toy: ToyTeacher, shared: bool) -> None:
    step = step_of(toy, "estimator", GAN, shared_noise=shared)
    loss_of(step, GAN)
    clean = {step.fake.ids: step.e_fake, step.real.ids: step.e_real}
    both = step.mask & toy.space.generated(step.real)
    epsilon: dict[tuple[str, ...], Tensor] = {}
    for call in networks(step)["ψ"].calls:
        noise = call.e_t - step.alpha_B[:, None, None] * clean[call.batch.ids]
        epsilon[call.batch.ids] = (noise / step.sigma_B[:, None, None])[both.expand_as(noise)]
    fake, real = epsilon[step.fake.ids], epsilon[step.real.ids]
    assert len(fake) > 10
    if shared:
        torch.testing.assert_close(fake, real, rtol=0, atol=1e-9)
    else:
        assert (fake - real).abs().mean() > 0.5


def test_frozen_gives_back_what_it_took(toy: ToyTeacher) -> None:
    estimator = toy.new_score_estimator().requires_grad_(True)
    always = next(estimator.parameters()).requires_grad_(False)
    with frozen(estimator):
        assert not any(p.requires_grad for p in estimator.parameters())
    assert [p for p in estimator.parameters() if not p.requires_grad] == [always]


@pytest.mark.parametrize(("k", "times"), [(1, [1490]), (2, [1490, 1117]), (4, [1490, 1117, 745, 372])])
def test_a_roll_out_reaches_theta_through_its_last_call_alone(
    toy: ToyTeacher, k: int, times: list[int]
) -> None:
    step = step_of(toy, "generator", Decay(), t_init=1490, calls=(k, 4))
    theta, batch, noise = step.generator, step.fake, step.noise
    step.backward(step.e_fake.sum())
    assert [int(call.t_B[0]) for call in networks(step)["θ"].calls] == times
    found = [slope.clone() for slope in gradients(theta)]

    theta.zero_grad()
    with torch.no_grad():
        given = step.space.embed_condition(batch)
        point = theta.input_of(batch, given, noise, k, 4)
    last = step.space.pin(point.denoise(theta.network).x0, given, batch)
    last.sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(found, gradients(theta), strict=True))
    assert torch.equal(last, step.e_fake)


def test_training_the_last_of_several_calls_sees_what_inference_writes(toy: ToyTeacher) -> None:
    step = step_of(toy, "estimator", SID, calls=(4, 4))
    assert not step.e_fake.requires_grad
    assert torch.equal(step.e_fake, cast(Tensor, step.generator.generate(step.fake, step.noise, 4).state))


@pytest.mark.parametrize("calls", [(1, 3), (2, 3), (3, 3)])
def test_other_networks_see_what_thetas_kth_call_is_given(toy: ToyTeacher, calls: tuple[int, int]) -> None:
    seen = Request(START, GeneratorInput())
    step = new_step(toy, "generator", [seen], wrap=Watched, calls=calls, t_init=1490)
    assert step[seen].x0.shape == step.e_fake.shape
    theta, start = networks(step)["θ"].calls[-1], step.networks[START].network.calls[-1]
    assert torch.equal(theta.e_t, start.e_t)
    assert torch.equal(theta.t_B, start.t_B)
    times = {call.t_B[0].item() for call in networks(step)["θ"].calls}
    assert len(times) == calls[0]
    assert theta.t_B[0] == min(times)
