"""SiD with guidance (SiD-LSG's κ): by hand on the toy, on Gaussians, and refused where it cannot be."""

import copy
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    Denoiser,
    DiffusionScoreEstimator,
    Gradient,
    InputError,
    Network,
    Noised,
    Point,
    Request,
    StepContext,
)
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.step.losses import masked_mean, sid_loss
from dlmone.core.step.request import Role
from dlmone.plugins.sid.dropped import Dropped
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.testing import ToyTeacher, check_objective, new_step
from dlmone.testing.known import NumberSpace, gaussian_x0, numbers
from dlmone.testing.oracle import BATCH, ENTRIES, distil_gaussian
from dlmone.testing.toy import EXAMPLES, ToySpace
from dlmone.training.requests import check_requests

GUIDED = SiDOptions(mu=0.5, weighting="score", teacher_guidance=3.0, estimator_guidance=2.0, dsm_guidance=1.5)


def step_of(toy: ToyTeacher, role: Role, sid: SiD) -> StepContext:
    return new_step(toy, role, sid.requests(role))


def guided(step: StepContext, network: Denoiser, point: Point, kappa: float) -> Tensor:
    """f(∅) + κ·(f(c) − f(∅)), written down again."""
    null = step.space.null_condition(point.batch)
    emptied = step.space.pin(point.e_t, step.space.embed(null), null)
    without = network.denoise(emptied, point.t_B, null).x0
    return without + kappa * (network.denoise(point.e_t, point.t_B, point.batch).x0 - without)


def psi_of(step: StepContext) -> Denoiser:
    return cast(DiffusionScoreEstimator, step.networks[ESTIMATOR]).network


@pytest.mark.parametrize("options", [SiDOptions(), SiDOptions(condition_dropout=0.9)], ids=str)
def test_at_kappa_one_the_requests_are_the_plain_ones(options: SiDOptions) -> None:
    sid = SiD(options)
    assert sid.requests("estimator") == (Request(ESTIMATOR, Noised()),)
    phi, psi = (Request(network, Noised(), Gradient.INPUT) for network in (TEACHER, ESTIMATOR))
    assert sid.requests("generator") == (phi, psi)


def test_guidance_keeps_the_contract() -> None:
    check_objective(SiD(GUIDED))


def test_each_network_of_thetas_loss_has_its_kappa(toy: ToyTeacher) -> None:
    sid = SiD(GUIDED)
    step = step_of(toy, "generator", sid)
    point, phi = step.point(Noised()), cast(Denoiser, step.networks[TEACHER])
    f_phi, f_psi = guided(step, phi, point, 3.0), guided(step, psi_of(step), point, 2.0)
    weight_B = step.alpha_B**2 / step.sigma_B**4
    expected_B = sid_loss(step.e_fake, f_phi, f_psi, step.mask, 0.5, weight_B)
    torch.testing.assert_close(sid.generator_loss(step).loss_B, expected_B)


def test_the_gradient_runs_through_all_four_evaluations(toy: ToyTeacher) -> None:
    sid = SiD(GUIDED)

    def loss_at(e: Tensor | None = None) -> tuple[Tensor, StepContext]:
        step = new_step(toy, "generator", sid.requests("generator"), examples=EXAMPLES[:2])
        if e is not None:
            step.e_fake = e
        return sid.generator_loss(step).loss_B.sum(), step

    loss, step = loss_at()
    (slope,) = torch.autograd.grad(loss, step.e_fake)
    e = step.e_fake.detach()
    way = torch.randn(e.shape, generator=torch.Generator().manual_seed(0), dtype=e.dtype)
    with torch.no_grad():
        found = (loss_at(e + 1e-5 * way)[0] - loss_at(e - 1e-5 * way)[0]) / 2e-5
    torch.testing.assert_close((slope * way).sum(), found, rtol=1e-6, atol=0)


def test_psi_learns_by_its_own_kappa_and_sometimes_without_the_condition(toy: ToyTeacher) -> None:
    sid = SiD(GUIDED.model_copy(update={"condition_dropout": 0.5}))
    step = step_of(toy, "estimator", sid)
    dropped_B = step.noise.uniform("condition") < 0.5
    assert dropped_B.any()
    assert not dropped_B.all()
    point, whole = step.point(Dropped(0.5)), step.point(Noised())
    null = step.space.null_condition(step.fake)
    given = ~step.mask.expand_as(whole.e_t)
    for row, dropped in enumerate(dropped_B.tolist()):
        source = null if dropped else step.fake
        assert torch.equal(point.batch.tokens_BL[row], source.tokens_BL[row])
        assert torch.equal(point.e_t[row][given[row]], step.space.embed(source)[row][given[row]])
    torch.testing.assert_close(point.e_t * step.mask, whole.e_t * step.mask, rtol=0, atol=0)
    f_psi = guided(step, psi_of(step), point, 1.5)
    expected_B = masked_mean((f_psi - step.e_fake) ** 2, step.mask)
    torch.testing.assert_close(sid.estimator_loss(step).loss_B, expected_B)


class Conditional(Denoiser):
    """The exact prediction for data N(1.5, 0.7²) under its condition and N(1, 0.7²) without."""

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        mean_B1 = torch.where(batch.tokens_BL[:, :1] == 1, 1.5, 1.0)
        return Denoised(gaussian_x0(SCHEDULE, mean_B1, 0.7, e_t, t_B))


class Nullable(NumberSpace):
    def null_condition(self, batch: Batch) -> Batch:
        return Batch(batch.ids, batch.tokens_BL * 0, batch.target_BL)


SCHEDULE = discrete_schedule("sqrt", 2000)


@pytest.mark.parametrize(("kappa", "mean"), [(1.0, 1.5), (2.0, 2.0), (3.0, 2.5), (0.0, 1.0)])
def test_the_student_becomes_the_guided_data(kappa: float, mean: float) -> None:
    """With equal gains the guided prediction is that of a Gaussian whose mean is extrapolated."""
    found = distil_gaussian(
        SiD(SiDOptions(mu=1.0, weighting="one", teacher_guidance=kappa)),
        SCHEDULE,
        1.5,
        0.7,
        teacher=Conditional(),
        space=Nullable(SCHEDULE, ENTRIES),
        batch=numbers(BATCH, ENTRIES, token=1, given=1),
    )
    assert found == pytest.approx((mean, 0.7), abs=0.01)


def test_guidance_of_a_model_that_never_lacked_its_condition_is_refused(toy: ToyTeacher) -> None:
    for options in (SiDOptions(), SiDOptions(teacher_guidance=2.0)):
        check_requests(toy, {"one": {"score": SiD(options)}}, EXAMPLES[0])
    toy = copy.deepcopy(toy)
    toy.space.null_condition = super(ToySpace, toy.space).null_condition  # type: ignore[method-assign]
    check_requests(toy, {"one": {"score": SiD(SiDOptions())}}, EXAMPLES[0])
    for name in ("teacher_guidance", "estimator_guidance", "dsm_guidance"):
        sid = SiD(SiDOptions.model_validate({name: 2.0}))
        with pytest.raises(InputError, match=r"^stages\.two\.objectives\.score: no guidance, for ToySpace"):
            check_requests(toy, {"two": {"score": sid}}, EXAMPLES[0])


class TakesKappa(Denoiser):
    """A network that is told κ, as ELF's: one call says f(∅) + κ·(f(c) − f(∅)) with f(∅) = 0."""

    takes_guidance = True

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network, self.calls = network, 0

    def denoise(
        self, e_t: Tensor, t_B: Tensor, batch: Batch, *, guidance: float = 1.0, **wanted: Any
    ) -> Denoised:
        self.calls += 1
        found = self.network.denoise(e_t, t_B, batch, **wanted)
        return replace(found, x0=guidance * found.x0)


@pytest.mark.parametrize("network", [TEACHER, ESTIMATOR, GENERATOR], ids=str)
def test_guidance_as_an_input_takes_one_call(toy: ToyTeacher, network: Network) -> None:
    plain, guided = Request(network, Noised("real")), Request(network, Noised("real"), guidance=3.0)
    step = new_step(toy, "generator", (plain, guided), wrap=TakesKappa)
    module = step.networks[network]
    told = module if isinstance(module, TakesKappa) else cast(TakesKappa, module.network)
    mask = step.space.generated(step.real)
    torch.testing.assert_close(step[guided].x0 * mask, 3 * step[plain].x0 * mask)
    assert told.calls == 2, "one for each request"
