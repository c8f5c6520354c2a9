"""Compute one update of Algorithm 1: evaluate the terms on shared passes and accumulate gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlmone.core import Network, Objective, Request, State, StepContext, Term
from dlmone.core.contract import is_named, require
from dlmone.core.step.request import Role
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute

from ..batches.rows import Rows


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """An objective with its weight in one role, active from step ``start``."""

    name: str
    objective: Objective
    weight: float
    start: int = 0


#: Terms of an update with their losses.
Terms = list[tuple[WeightedTerm, Term]]


class Update:
    """The loss of one role: its terms, their requests and their gradients.

    Args:
        role: the network updated.
        terms: the objectives with a weight in this role.
    """

    def __init__(self, role: Role, terms: Iterable[WeightedTerm]) -> None:
        self.role = role
        self.terms = [
            term for term in terms if term.weight > 0 and requests_of(term.objective, role) is not None
        ]

    def active(self, step: int) -> list[WeightedTerm]:
        return [term for term in self.terms if step >= term.start]

    def requests(self, step: int) -> list[Request]:
        """Return what the terms active at ``step`` request."""
        return [
            request for term in self.active(step) for request in requests_of(term.objective, self.role) or ()
        ]

    def observe(self, step: int, means: Mapping[str, Tensor]) -> dict[str, float | Tensor]:
        """Pass each active objective the values it logged in the update. Return what it adds to the log.

        An objective sees and returns its own names; in the log each is ``TERM/NAME``.
        """
        noted: dict[str, float | Tensor] = {}
        for term in self.active(step):
            prefix = f"{term.name}/"
            own = {name.removeprefix(prefix): mean for name, mean in means.items() if name.startswith(prefix)}
            observed = term.objective.observe(self.role, own)
            numbers = is_named(observed, (int, float, Tensor)) and all(
                not isinstance(value, Tensor) or value.dim() == 0 for value in observed.values()
            )
            require(numbers, term.objective, "observe", "named numbers", observed)
            noted |= {prefix + name: mean for name, mean in observed.items()}
        return noted

    def evaluate(self, context: StepContext, step: int) -> Terms:
        """Return the terms active at ``step`` with their losses on one (micro)batch."""
        return [(term, self._term(term, context)) for term in self.active(step)]

    def accumulate(
        self,
        context: StepContext,
        terms: Terms,
        rows: Rows[int],
        batch: int,
        sums: MetricSums,
        norms: bool,
        before_last: Callable[[], None] | None = None,
    ) -> Tensor | None:
        """Add one (micro)batch's gradients of the weighted sum of terms, each a mean over ``batch``.

        Call it outside autocast. Inside, PyTorch would compute the backward pass of a float32 product in half
        precision. (A product that autocast ran in half precision stays in it.)

        If any sample's loss is not finite, no gradient is added, because the shared passes would spread it
        to all samples. The caller retries without those samples, as `Rows` does.

        Args:
            context: the microbatch.
            terms: what `evaluate` returned for it.
            rows: its samples.
            batch: size of the global batch.
            sums: accumulates the logged values.
            norms: also compute each term's gradient norm at the generator's output (logged steps only).
            before_last: called before the last call of autograd, after which the gradients are complete.

        Returns:
            None, or if any sample's loss is not finite, which are, [B]; if that was so on another process
            only, all of them.
        """
        finite_B = torch.ones(len(context.fake), dtype=torch.bool, device=context.fake.tokens_BL.device)
        for _, answer in terms:
            finite_B &= answer.loss_B.isfinite()
        if not rows.finite(finite_B):  # here alone the host waits for the device
            return finite_B
        total = torch.zeros((), device=finite_B.device)
        for term, answer in terms:
            loss_B = rows.counted(answer.loss_B)
            weighted = term.weight * loss_B.sum() / batch
            sums.add(f"{self.role}/{term.name}", loss_B)
            for name, values_B in answer.logged.items():
                sums.add(f"{term.name}/{name}", rows.counted(values_B))
            if norms and weighted.requires_grad and context.leaves:
                slopes = torch.autograd.grad(weighted, context.leaves, retain_graph=True, allow_unused=True)
                for slope in slopes:
                    sums.add_square(f"gradient/{term.name}", slope)
            total = total + weighted
        context.backward(total, before_last)
        return None

    def _term(self, term: WeightedTerm, context: StepContext) -> Term:
        method = f"{self.role}_loss"
        answer: Term = getattr(term.objective, method)(context)
        require(isinstance(answer, Term), term.objective, method, "a Term", answer)
        rows = (len(context.fake),)
        loss_B, logged = answer.loss_B, answer.logged
        is_loss = isinstance(loss_B, Tensor) and loss_B.shape == rows and loss_B.is_floating_point()
        wanted = f"a Term with one loss per sample, of shape {rows}"
        require(is_loss, term.objective, method, wanted, loss_B)
        require(loss_B.requires_grad, term.objective, method, f"{wanted}, that has a gradient", loss_B)
        require(is_named(logged, Tensor), term.objective, method, "a Term with named tensors to log", logged)
        for name, value_B in logged.items():
            what = f"a Term with one value per sample in logged[{name!r}], of shape {rows}"
            require(value_B.shape == rows, term.objective, method, what, value_B)
        return answer


def requests_of(objective: Objective, role: Role) -> Sequence[Request] | None:
    """Return what an objective requests in a role, None if it has no term there.

    Raises:
        PluginError: it is something else.
    """
    requests = objective.requests(role)
    listed = isinstance(requests, Sequence) and all(isinstance(one, Request) for one in requests)
    require(requests is None or listed, objective, "requests", "a sequence of Request, or None", requests)
    method = f"{role}_loss"
    fits = requests is None or getattr(type(objective), method) is not getattr(Objective, method)
    wanted = f"None for the {role}, as there is no {method}()"
    require(fits, objective, "requests", wanted, requests)
    for one in requests or ():
        require(isinstance(one.state, State), objective, "requests", "requests of a State", one.state)
        require(isinstance(one.network, Network), objective, "requests", "requests of a Network", one.network)
    return requests


def stage_updates(stage: Stage, objectives: Mapping[str, Objective]) -> dict[Role, Update]:
    """Return the updates of a stage by role, each with the objectives that have a weight in it."""
    generator, estimator = [], []
    for name, objective in objectives.items():
        slot = stage.objectives[name]
        generator.append(WeightedTerm(name, objective, slot.generator_weight, slot.generator_start))
        estimator.append(WeightedTerm(name, objective, slot.estimator_weight))
    return {"generator": Update("generator", generator), "estimator": Update("estimator", estimator)}


#: Ends the name of a sum of squares among the others.
_SQUARE = "²"


class MetricSums:
    """Sums of per-sample values over a step's microbatches and processes; on one device, they stay there."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, values_B: Tensor) -> None:
        self._add(name, values_B.detach().double().sum())

    def add_square(self, name: str, values: Tensor | None) -> None:
        if values is not None:
            self._add(name + _SQUARE, values.detach().double().square().sum())

    def _add(self, name: str, total: Tensor) -> None:
        self.sums[name] = self.sums[name] + total if name in self.sums else total

    def means(self, batch: int, compute: Compute) -> dict[str, Tensor]:
        """Return means over the global batch, and norms; ``non_finite`` stays a count."""
        means: dict[str, Tensor] = {}
        for name, total in compute.world.sum_named(self.sums, compute.device).items():
            if name.endswith(_SQUARE):
                means[name.removesuffix(_SQUARE)] = total.sqrt()
            else:
                means[name] = total if name == "non_finite" else total / batch
        return means
