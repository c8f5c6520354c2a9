"""The Objective contract, on the toy: requested evaluations, one loss a sample, gradient where it belongs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn

from dlmone.core import (
    ESTIMATOR,
    GENERATOR,
    OUTPUT,
    Auxiliary,
    Batch,
    Denoised,
    Denoiser,
    Network,
    Objective,
    PluginError,
    Point,
    Request,
    State,
    StepContext,
    Term,
)
from dlmone.core.contract import is_named
from dlmone.core.step.request import Role, computes_output, merged
from dlmone.training.updates.networks import declared
from dlmone.training.updates.update import requests_of

from ..claims import alike, claimed, require, require_rows
from ..steps import new_step
from ..toy import EXAMPLES, ToyOptions, ToyTeacher, toy_teacher

#: The one output of a one-step student, and the first, the second and the last of a student of three calls.
CALLS = ((1, 1), (1, 3), (2, 3), (3, 3))


def check_objective(objective: Objective) -> None:
    """Check an objective against its contract, in whole and continuous time, for one call and several.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    require(
        isinstance(objective, Objective),
        f"{type(objective).__name__} is no subclass of dlmone.core.Objective",
    )
    with claimed():
        roles = [role for role in get_args(Role) if requests_of(objective, role) is not None]
        declared(objective)
    require(bool(roles), "requests() is None in both roles, so the objective has no term anywhere")
    _check_state(objective)
    for schedule, trained in (("sqrt", CALLS), ("flow", CALLS[2:3])):
        teacher = toy_teacher(ToyOptions(schedule=schedule))
        for role in roles:
            for calls in trained:
                _Trial(objective, role, teacher, calls).check()


def _check_state(objective: Objective) -> None:
    """Require that what an objective has learned survives a checkpoint."""
    state = objective.state()
    for name, value in state.items():
        fits = isinstance(value, (int, float, Tensor)) and not isinstance(value, bool)
        require(fits, f"state()[{name!r}] must be a number or a tensor, not {type(value).__name__}")
    objective.load_state(state)
    again = objective.state()
    same = again.keys() == state.keys() and all(_equal(again[name], value) for name, value in state.items())
    require(same, "load_state(state()) must leave state() as it was: a run that resumes is the same run")


def _equal(one: float | Tensor, other: float | Tensor) -> bool:
    return torch.equal(torch.as_tensor(one), torch.as_tensor(other))


class _Trial:
    """An objective in one role on one teacher."""

    def __init__(self, objective: Objective, role: Role, teacher: ToyTeacher, calls: tuple[int, int]) -> None:
        self.objective, self.role, self.teacher, self.calls = objective, role, teacher, calls
        self.where = f"{role}_loss"
        self.loss: Callable[[StepContext], Term] = getattr(objective, self.where)
        requests = objective.requests(role)
        listed = isinstance(requests, (list, tuple)) and all(isinstance(one, Request) for one in requests)
        require(listed, f"requests({role!r}) must return a sequence of Request or None, not {requests!r}")
        same = list(requests or ()) == list(objective.requests(role) or ())
        require(same, f"requests({role!r}) must return the same every time")
        self.requests = tuple(cast(Iterable[Request], requests))

    def step(self, **options: object) -> StepContext:
        """Return a step of the toy with what the objective requests."""
        given = {"auxiliaries": self.objective.auxiliaries, "calls": self.calls, **options}
        return new_step(self.teacher, self.role, self.requests, **given)  # type: ignore[arg-type]

    def check(self) -> None:
        own = _OwnCalls()
        step = self.step(kind=_NotingStep, wrap=lambda network: _Gate(network, own))
        cast(_NotingStep, step).own = own
        before = {network: _snapshot(module) for network, module in step.networks.items()}
        try:
            term = self.loss(step)
        except PluginError as error:
            require(False, f"{self.where}: {error}")
        self._check_term(term)
        self._check_reads(cast(_NotingStep, step).read)
        if term.loss_B.requires_grad:
            torch.autograd.backward(term.loss_B.sum())
        for network, module in step.networks.items():
            after = _snapshot(module)
            changed = [key for key, value in after.items() if not torch.equal(value, before[network][key])]
            sentence = f"{self.where} must leave the network {network} as it is, but changed"
            require(not changed, f"{sentence} {', '.join(changed)}")
        self._check_gradients(step)
        called = [str(one) for one, module in step.networks.items() if own.by.intersection(module.modules())]
        sentence = f"{self.where} calls {', '.join(called)} itself: request the evaluation"
        require(not called, f"{sentence}, which is then counted, and shared with other objectives")
        self._check_rows(term.loss_B.detach())
        self._check_given_entries(term.loss_B.detach())

    def _check_term(self, term: Term) -> None:
        require(isinstance(term, Term), f"{self.where} must return a Term, not {type(term).__name__}")
        named = is_named(term.logged, Tensor)
        require(named, f"{self.where}: logged must hold named tensors, not {term.logged!r}")
        require_rows({"loss_B": term.loss_B}, len(EXAMPLES), f"{self.where}: Term")
        require_rows(term.logged, len(EXAMPLES), f"{self.where}: logged")
        require(bool(term.loss_B.isfinite().all()), f"{self.where} must be finite on finite input")
        attached = [name for name, value_B in term.logged.items() if value_B.requires_grad]
        require(not attached, f"{self.where}: logged values must be detached; these are not: {attached}")

    def _check_reads(self, read: set[tuple[Network, State, float]]) -> None:
        for key, request in merged(self.requests).items():
            sentence = f"requests({self.role!r}) lists {request.network} at {request.state}"
            require(key in read, f"{sentence}, which {self.where} never reads: it costs a network pass")
        known = OUTPUT.key not in read or computes_output(self.role, merged(self.requests))
        sentence = f"{self.where} reads θ's output: list OUTPUT in requests({self.role!r})"
        require(known, f"{sentence}, or in those of the state that reads it")

    def _check_gradients(self, step: StepContext) -> None:
        trained = {
            network
            for network in step.networks
            if self.role == "estimator" and (network is ESTIMATOR or isinstance(network, Auxiliary))
        }
        for network, module in step.networks.items():
            if network not in trained:
                where = f"{self.where}: gradient reaches the parameters of {network}"
                past = ", past the outputs that the step gives" if network is GENERATOR else ""
                require(not _learned(module), f"{where}{past}")
        if self.role == "estimator":
            learned = any(_learned(step.networks[network]) for network in trained)
            require(learned, f"{self.where}: no gradient reaches {ESTIMATOR}, which learns nothing")
            return
        slopes = [leaf.grad for leaf in step.leaves if leaf.grad is not None]
        reached = any(bool(slope.any()) for slope in slopes)
        require(reached, f"{self.where}: no gradient reaches what θ computed, so θ learns nothing")
        finite = all(bool(slope.isfinite().all()) for slope in slopes)
        require(finite, f"{self.where}: its gradient must be finite on finite input")

    def _check_rows(self, loss_B: Tensor) -> None:
        for row, example in enumerate(EXAMPLES):
            # The real partner of a sample must stay the same one.
            alone = (example, EXAMPLES[-1 - row])
            found = self.loss(self.step(examples=alone)).loss_B[0]
            require(
                alike(found, loss_B[row]),
                f"{self.where} of a sample depends on its batch mates: {found:.6g} with one, "
                f"{loss_B[row]:.6g} with {len(EXAMPLES) - 1}",
            )

    def _check_given_entries(self, loss_B: Tensor) -> None:
        step = self.step(wrap=lambda network: _Meddler(network))
        require(
            alike(self.loss(step).loss_B, loss_B),
            f"{self.where} depends on what a network predicts at given entries; average with step.mask",
        )


class _OwnCalls:
    """The networks that an objective called itself, while ``requested`` was False; shared by all copies."""

    def __init__(self) -> None:
        self.by: set[nn.Module] = set()
        self.requested = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "_OwnCalls":
        return self

    @contextmanager
    def none(self) -> Iterator[None]:
        """Count no calls: the step makes them."""
        before, self.requested = self.requested, True
        try:
            yield
        finally:
            self.requested = before


class _NotingStep(StepContext):
    """Record which evaluations are read, and tell its calls from those that the objective makes itself."""

    own: _OwnCalls

    @cached_property
    def read(self) -> set[tuple[Network, State, float]]:
        return set()

    def __getitem__(self, request: Request) -> Denoised:
        self.read.add(request.key)
        return super().__getitem__(request)

    @cached_property
    def generator_input(self) -> Point:
        with self.own.none():
            return super().generator_input

    @cached_property
    def e_fake(self) -> Tensor:
        self.read.add(OUTPUT.key)
        return super().e_fake

    def _call(
        self, network: Network, point: Point, request: Request | None = None, **inputs: float
    ) -> Denoised:
        with self.own.none():
            return super()._call(network, point, request, **inputs)


class _Gate(Denoiser):
    """Answers as ``network`` does, and notes calls that no step makes."""

    def __init__(self, network: Denoiser, own: _OwnCalls) -> None:
        super().__init__()
        self.network, self.own = network, own
        self.second_time = network.second_time

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        if not self.own.requested:
            self.own.by.add(self)
        return self.network.denoise(e_t, t_B, batch, **wanted)


class _Meddler(Denoiser):
    """Answers as ``network`` does, but for what it says about given entries."""

    def __init__(self, network: Denoiser) -> None:
        super().__init__()
        self.network = network
        self.second_time = network.second_time

    def denoise(self, e_t: Tensor, t_B: Tensor, batch: Batch, **wanted: Any) -> Denoised:
        answer = self.network.denoise(e_t, t_B, batch, **wanted)
        meddled = torch.where(batch.target_BL[..., None], answer.x0, answer.x0 + 1)
        return replace(answer, x0=meddled)


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _learned(network: nn.Module) -> bool:
    """Tell whether any parameter has received gradient."""
    return any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
