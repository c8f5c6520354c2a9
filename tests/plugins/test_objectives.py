"""The built-in objectives: which of the paper's equations each term is, on the toy."""

import math
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    ESTIMATOR,
    TEACHER,
    Denoised,
    InputError,
    Noised,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.step.losses import diff_instruct_loss, dsm_loss, masked_mean, sid_loss
from dlmone.plugins.diff_instruct.objective import DiffInstruct
from dlmone.plugins.diff_instruct.options import DiffInstructOptions
from dlmone.plugins.diffusion_gan.heads import HEADS
from dlmone.plugins.diffusion_gan.objective import DiffusionGAN
from dlmone.plugins.diffusion_gan.options import DiffusionGANOptions
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.plugins.sds.objective import ScoreDistillationSampling
from dlmone.plugins.sds.options import SDSOptions
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.testing import ToyTeacher

from .steps import step_of

PHI, PSI = Request(TEACHER, Noised()), Request(ESTIMATOR, Noised())


def distance(step: StepContext) -> Tensor:
    """mean|e − f_φ| of each sample."""
    return masked_mean((step.e_fake - step[PHI].x0).abs(), step.mask)


def test_the_papers_settings_are_the_defaults() -> None:
    options = SiDOptions()
    assert (options.mu, options.weighting, options.dsm_weighting) == (1.2, "sid", "one")
    assert not DiffusionGANOptions().over_weight


def test_sids_term_is_eq_4(toy: ToyTeacher) -> None:
    sid = SiD(SiDOptions(mu=0.5))
    step = step_of(toy, "generator", sid)
    term, f_psi = sid.generator_loss(step), step[PSI].x0
    expected_B = sid_loss(step.e_fake, step[PHI].x0, f_psi, step.mask, 0.5, 1 / distance(step))
    torch.testing.assert_close(term.loss_B, expected_B)
    gap_B = masked_mean((step[PHI].x0 - f_psi) ** 2, step.mask).sqrt()
    torch.testing.assert_close(term.logged["teacher_estimator_gap"], gap_B.detach())


def test_diff_instructs_term(toy: ToyTeacher) -> None:
    objective = DiffInstruct(DiffInstructOptions(weighting="one"))
    step = step_of(toy, "generator", objective)
    expected_B = masked_mean((step[PSI].x0 - step[PHI].x0) * step.e_fake, step.mask)
    torch.testing.assert_close(objective.generator_loss(step).loss_B, expected_B)


@pytest.mark.parametrize(
    "objective", [SiD(SiDOptions(dsm_weighting="snr")), DiffInstruct(DiffInstructOptions())]
)
def test_psi_learns_the_clean_output_by_eq_3(toy: ToyTeacher, objective: Objective) -> None:
    step = step_of(toy, "estimator", objective)
    gamma_B = (
        (step.alpha_B / step.sigma_B) ** 2 if isinstance(objective, SiD) else torch.ones_like(step.alpha_B)
    )
    expected_B = dsm_loss(step[PSI].x0, step.e_fake, step.mask, gamma_B)
    torch.testing.assert_close(objective.estimator_loss(step).loss_B, expected_B)


def test_psis_adversarial_step_tells_real_from_fake(toy: ToyTeacher) -> None:
    gan = DiffusionGAN(DiffusionGANOptions())
    before, after = (step_of(toy, "estimator", gan) for _ in range(2))
    term = gan.estimator_loss(before)
    term.loss_B.sum().backward()
    with torch.no_grad():
        psi = (step.networks[ESTIMATOR].parameters() for step in (after, before))
        for moved, parameter in zip(*psi, strict=True):
            if parameter.grad is not None:  # the way out of ψ's other answer has none
                moved -= parameter.grad
    assert gap(gan.estimator_loss(after)) > gap(term) + 1e-3


def gap(term: Term) -> float:
    """How much surer D is of real pairs than of generated ones."""
    return (term.logged["d_real"] - term.logged["d_fake"]).mean().item()


def test_ds_accuracy_counts_states_on_their_side_of_even(
    toy: ToyTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = DiffusionGAN(DiffusionGANOptions())
    step = step_of(toy, "estimator", gan)
    logits = {gan.real: [[3.0, -1.0], [1.0, -2.0]], gan.fake: [[-1.0, -1.0], [2.0, -1.0]]}
    monkeypatch.setattr(gan, "logits", lambda step, request: torch.tensor(logits[request]))
    assert gan.estimator_loss(step).logged["d_accuracy"].tolist() == [1.0, 0.0]
    logits[gan.real] = logits[gan.real][::-1]
    assert gan.estimator_loss(step).logged["d_accuracy"].tolist() == [0.5, 0.5]


def test_thetas_adversarial_step_deceives(toy: ToyTeacher) -> None:
    gan = DiffusionGAN(DiffusionGANOptions())
    first = step_of(toy, "generator", gan)
    (slope,) = torch.autograd.grad(gan.generator_loss(first).loss_B.sum(), first.e_fake)
    moved = step_of(toy, "generator", gan)
    moved.e_fake = first.e_fake.detach() - 0.1 * slope / slope.norm()
    assert gan.logits(moved, gan.fake).mean() > gan.logits(first, gan.fake).mean()


def test_mu_never_rises_above_the_recipes() -> None:
    """The lags that were measured after ψ ← φ at the paper's rates, and then one of a ψ that lags."""
    sid = SiD(SiDOptions(mu=1.0, mu_lag=0.5))

    def after(lag: float) -> float:
        means = {"gap_weighted": 2.0, "lag_weighted": 2 * lag}
        logged = sid.observe(
            "generator", {name: torch.tensor(mean, dtype=torch.float64) for name, mean in means.items()}
        )
        assert logged["estimator_lag"] == lag, "logged as it was measured"
        assert logged["mu"] == sid.mu
        return float(sid.mu)

    assert [after(lag) for lag in (-19.0, -10.0, -10.0)] == [1.0, 1.0, 1.0]
    assert after(0.8) == pytest.approx(1 - 0.5 * 0.8 / 4), "at once, as if the negative ones had been 0"


def test_where_there_is_no_gap_there_is_no_lag_to_learn_from() -> None:
    sid = SiD(SiDOptions(mu=1.0, mu_lag=0.5))
    nothing, lagging = ({"gap_weighted": gap, "lag_weighted": 0.8 * gap} for gap in torch.tensor([0.0, 2.0]))
    assert sid.observe("generator", nothing) == {"estimator_lag": 0.0, "mu": 1.0}
    assert sid.state() == {"lag": 0.0, "observed": 0}
    assert float(sid.observe("generator", lagging)["mu"]) == pytest.approx(1 - 0.5 * 0.8)
    assert sid.state()["observed"] == 1


def test_over_weight_by_hand() -> None:
    """BCE of one sample over its own mean|e − f_φ|; SiDA has the batch's mean BCE over it."""

    def losses(e: list[list[float]]) -> list[float]:
        gan = DiffusionGAN(DiffusionGANOptions(over_weight=True))
        logits_BNK = torch.tensor([[[0.0]], [[math.log(3)]]])
        step = MagicMock(
            e_fake=torch.tensor(e),
            mask=torch.tensor([[True, True]]),
            alpha_B=torch.ones(2),
            sigma_B=torch.ones(2),
            module=lambda head: HEADS["token_mean"](1),
        )
        step.__getitem__.side_effect = {
            gan.phi: Denoised(torch.tensor([[0.0, 0.0], [2.0, 2.0]])),
            gan.fake: Denoised(torch.zeros(2), logits_BNK, torch.ones(2, 1, dtype=torch.bool)),
        }.__getitem__
        return gan.generator_loss(step).loss_B.tolist()

    bce = [math.log(2), math.log(4 / 3)]
    assert losses([[1.0, 2.0], [0.0, 0.0]]) == pytest.approx([bce[0] / 1.5, bce[1] / 2])

    def sida(weights: list[float]) -> float:
        return sum(bce) / 2 * sum(1 / weight for weight in weights) / 2

    assert sum(losses([[1.0, 2.0], [0.0, 0.0]])) / 2 != pytest.approx(sida([1.5, 2.0]), rel=0.01)
    assert sum(losses([[1.0, 3.0], [0.0, 0.0]])) / 2 == pytest.approx(sida([2.0, 2.0]))


def test_the_adversarial_term_over_the_weight(toy: ToyTeacher) -> None:
    plain, over = (DiffusionGAN(DiffusionGANOptions(over_weight=flag)) for flag in (False, True))
    step = step_of(toy, "generator", over)
    loss_B = over.generator_loss(step).loss_B
    expected_B = plain.generator_loss(step_of(toy, "generator", plain)).loss_B / distance(step)
    torch.testing.assert_close(loss_B, expected_B)


@pytest.mark.parametrize(("low", "high"), [(900, 1490), ({"quantile": 0.45}, {"ratio": 2.5})])
def test_sds_takes_its_times_in_any_form(toy: ToyTeacher, low: object, high: object) -> None:
    """900 and 1490 are the 0.45 quantile of 0 to 1999 and the time of σ/α = 2.5."""
    objective = ScoreDistillationSampling(SDSOptions.model_validate({"t_min": low, "t_max": high}))
    step = step_of(toy, "generator", objective)
    step.t_B = torch.tensor([899, 900, 1489, 1490])[: len(step.fake)]
    taken = objective.generator_loss(step).loss_B > 0
    assert taken.tolist() == [False, True, True, False][: len(step.fake)]


REFUSED: list[tuple[Objective, str]] = [
    (
        ScoreDistillationSampling(SDSOptions.model_validate({"t_min": 2000})),
        r"^t_min: time 2000 is outside .* from 0 to 1999$",
    ),
    (
        ScoreDistillationSampling(SDSOptions.model_validate({"t_min": {"ratio": 2.5}, "t_max": 900})),
        r"^t_min: 1490 must be below t_max, 900$",
    ),
    (
        Regression(RegressionOptions.model_validate({"until": {"ratio": 5000}})),
        r"^until: σ/α = 5000 is outside",
    ),
    (
        Regression(RegressionOptions.model_validate({"initial": "student", "until": 1500})),
        "^until: network calls go down from 1490 and cannot end at 1500$",
    ),
    (
        Regression(RegressionOptions.model_validate({"steps": 8, "until": 1995})),
        "^steps: there are 5 times from 1999 down to 1995, too few for 8 steps$",
    ),
]


@pytest.mark.parametrize(("objective", "sentence"), REFUSED)
def test_times_that_a_teacher_does_not_have_are_refused(objective: Objective, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        objective.check(discrete_schedule("sqrt", 2000), 1490)


def test_sds_is_diff_instruct_with_the_output_in_the_place_of_psi(toy: ToyTeacher) -> None:
    objective = ScoreDistillationSampling(SDSOptions(rounding=False, weighting="sid"))
    step = step_of(toy, "generator", objective)
    (slope,) = torch.autograd.grad(objective.generator_loss(step).loss_B.sum(), step.e_fake)
    e = step.e_fake.detach().requires_grad_()
    weight_B = (1 / distance(step)).detach()
    direct_B = diff_instruct_loss(e, step[PHI].x0, e.detach(), step.mask, weight_B)
    torch.testing.assert_close(slope, torch.autograd.grad(direct_B.sum(), e)[0])


def test_sds_pulls_to_token_states_and_leaves_other_times_out(toy: ToyTeacher) -> None:
    whole = ScoreDistillationSampling(SDSOptions())
    step = step_of(toy, "generator", whole)
    target = step.space.round(step[PHI].x0)
    assert not torch.equal(target, step[PHI].x0)
    expected_B = 0.5 * masked_mean((step.e_fake - target) ** 2, step.mask)
    torch.testing.assert_close(whole.generator_loss(step).loss_B, expected_B)
    low, middle, *_ = sorted(step.t_B.tolist())
    some = ScoreDistillationSampling(SDSOptions.model_validate({"t_min": low + 1, "t_max": middle + 1}))
    within_B = step.t_B == middle
    torch.testing.assert_close(some.generator_loss(step).loss_B, expected_B * within_B)
