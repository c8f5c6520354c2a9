"""The Objective contract, on the toy: declared reads, one loss a sample, gradient where it belongs."""

from collections.abc import Callable
from functools import cached_property
from typing import cast, get_args

import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, Denoiser, Estimate, Needs, Objective, Route, StepContext, Term
from dlmone.core.objective import Role

from .claims import alike, require, require_rows
from .steps import new_step
from .toy import EXAMPLES, ToyOptions, ToyTeacher, toy_teacher


def check_objective(objective: Objective) -> None:
    """Hold an objective to its contract, in whole time steps and in continuous time.

    Raises:
        AssertionError: it breaks the contract; the sentence says how.
    """
    roles = [role for role in get_args(Role) if objective.needs(role) is not None]
    require(bool(roles), "needs() is None in both roles, so the objective has no term anywhere")
    for schedule in ("sqrt", "flow"):
        teacher = toy_teacher(ToyOptions(schedule=schedule))
        for role in roles:
            _Trial(objective, role, teacher).check()


class _Trial:
    """An objective in one role on one teacher."""

    def __init__(self, objective: Objective, role: Role, teacher: ToyTeacher) -> None:
        self.role, self.teacher = role, teacher
        self.where = f"{role}_loss"
        self.loss: Callable[[StepContext], Term] = getattr(objective, self.where)
        needs = objective.needs(role)
        require(isinstance(needs, Needs), f"needs({role!r}) must return Needs or None, not {needs!r}")
        require(needs == objective.needs(role), f"needs({role!r}) must return the same every time")
        self.needs = cast(Needs, needs)

    def check(self) -> None:
        step = new_step(self.teacher, self.role, self.needs, kind=_NotingStep)
        networks = {"φ": step.teacher, "ψ": step.estimator, "θ": step.generator}
        before = {name: _snapshot(network) for name, network in networks.items()}
        term = self.loss(step)
        self._check_term(term)
        self._check_reads(cast(_NotingStep, step).read)
        if term.loss_B.requires_grad:
            torch.autograd.backward(term.loss_B.sum())
        for name, network in networks.items():
            after = _snapshot(network)
            changed = [key for key, value in after.items() if not torch.equal(value, before[name][key])]
            require(not changed, f"{self.where} must leave {name} as it is, but changed {', '.join(changed)}")
        self._check_gradients(step)
        self._check_rows(term.loss_B.detach())
        self._check_given_entries(term.loss_B.detach())

    def _check_term(self, term: Term) -> None:
        require(isinstance(term, Term), f"{self.where} must return a Term, not {type(term).__name__}")
        require_rows({"loss_B": term.loss_B}, len(EXAMPLES), f"{self.where}: Term")
        require_rows(term.logged, len(EXAMPLES), f"{self.where}: logged")
        require(bool(term.loss_B.isfinite().all()), f"{self.where} must be finite on finite input")
        attached = [name for name, value_B in term.logged.items() if value_B.requires_grad]
        require(not attached, f"{self.where}: logged values must be detached; these are not: {attached}")

    def _check_reads(self, read: set[str]) -> None:
        declared = {
            "teacher": self.needs.teacher is not Route.ABSENT,
            "estimator": self.needs.estimator is not Route.ABSENT,
            "fake_logits": self.needs.fake_logits,
            "real_logits": self.needs.real_logits,
            "start": self.needs.start,
        }
        for name, is_declared in declared.items():
            if name in read:
                require(
                    is_declared, f"{self.where} reads {name}, which needs({self.role!r}) does not declare"
                )
            elif is_declared:
                sentence = f"needs({self.role!r}) declares {name}, which {self.where} never reads"
                require(False, f"{sentence}: it costs a network pass")

    def _check_gradients(self, step: StepContext) -> None:
        require(not _learned(step.teacher), f"{self.where}: φ is frozen, yet gradient reaches its parameters")
        past = "gradient must end at context.e_fake, yet it reaches θ's parameters"
        require(not _learned(step.generator), f"{self.where}: {past}")
        if self.role == "estimator":
            require(_learned(step.estimator), f"{self.where}: no gradient reaches ψ, which learns nothing")
            return
        require(not _learned(step.estimator), f"{self.where}: gradient reaches ψ's parameters in θ's update")
        slope = step.e_fake.grad
        require(
            slope is not None and bool(slope.any()),
            f"{self.where}: no gradient reaches context.e_fake, so θ learns nothing",
        )
        assert slope is not None
        require(bool(slope.isfinite().all()), f"{self.where}: its gradient must be finite on finite input")

    def _check_rows(self, loss_B: Tensor) -> None:
        for row, example in enumerate(EXAMPLES):
            # The real partner of a sample must stay the same one.
            alone = (example, EXAMPLES[-1 - row])
            together = new_step(self.teacher, self.role, self.needs, examples=alone)
            found = self.loss(together).loss_B[0]
            require(
                alike(found, loss_B[row]),
                f"{self.where} of a sample depends on its batch mates: {found:.6g} with one, "
                f"{loss_B[row]:.6g} with {len(EXAMPLES) - 1}",
            )

    def _check_given_entries(self, loss_B: Tensor) -> None:
        step = new_step(self.teacher, self.role, self.needs, wrap=lambda network: _Meddler(network))
        require(
            alike(self.loss(step).loss_B, loss_B),
            f"{self.where} depends on what a network predicts at given entries; average with context.mask",
        )


class _NotingStep(StepContext):
    """Notes which of the shared evaluations are read."""

    @cached_property
    def read(self) -> set[str]:
        return set()

    @property
    def f_phi(self) -> Tensor:
        self.read.add("teacher")
        return super().f_phi

    @property
    def estimate(self) -> Estimate:
        return cast(Estimate, _NotingEstimate(super().estimate, self.read))

    @property
    def real_logits(self) -> Tensor:
        self.read.add("real_logits")
        return super().real_logits

    @property
    def e_start(self) -> Tensor:
        self.read.add("start")
        return super().e_start


class _NotingEstimate:
    def __init__(self, estimate: Estimate, read: set[str]) -> None:
        self._estimate, self._read = estimate, read

    @property
    def x0(self) -> Tensor:
        self._read.add("estimator")
        return self._estimate.x0

    @property
    def logits_BK(self) -> Tensor | None:
        self._read.add("fake_logits")
        return self._estimate.logits_BK


class _Meddler(Denoiser):
    """Answers as ``network`` does, but for what it says about given entries."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        previous: Tensor | None = None,
    ) -> Denoised:
        answer = self.network.denoise(e_t, t_B, batch, features=features)
        meddled = torch.where(batch.target_BL[..., None], answer.x0, answer.x0 + 1)
        return Denoised(meddled, answer.features_BNH, answer.feature_mask_BN)


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _learned(network: nn.Module) -> bool:
    """Tell whether any parameter has received gradient."""
    return any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
