"""The Objective contract: one pure loss term of the two alternating updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    from .context import StepContext
    from .schedule import NoiseSchedule

Role = Literal["generator", "estimator"]


class Route(IntEnum):
    """How a network's prediction at e_t is wanted: not at all, as a constant, or as a function of e."""

    ABSENT = 0
    DETACHED = 1
    DIFFERENTIABLE = 2


@dataclass(frozen=True, slots=True)
class Needs:
    """What an objective reads in one role; ``|`` gives what two objectives need together.

    Each evaluation is made once, in one pass a network; one that nobody needs is never made.

    Attributes:
        teacher: ê_φ(e_t). DIFFERENTIABLE keeps the path through φ's input (never its parameters).
        estimator: ê_ψ(e_t). In the estimator's role its parameters always receive gradient.
        fake_logits: D_ψ(e_t) of the generated batch, from the pass that gives ê_ψ(e_t).
        real_logits: D_ψ of the noised real batch.
        start: the output of θ as it was when its stage began.
        teacher_calls: calls of φ without gradient that the objective makes itself, as for a target. They
            are shared with no other objective, and add up.
    """

    teacher: Route = Route.ABSENT
    estimator: Route = Route.ABSENT
    fake_logits: bool = False
    real_logits: bool = False
    start: bool = False
    teacher_calls: int = 0

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            max(self.teacher, other.teacher),
            max(self.estimator, other.estimator),
            self.fake_logits or other.fake_logits,
            self.real_logits or other.real_logits,
            self.start or other.start,
            self.teacher_calls + other.teacher_calls,
        )


@dataclass(frozen=True, slots=True)
class Term:
    """A loss term: one value a sample [B], and detached values [B] to log by name.

    A recipe names its terms, and the log has ``TERM/NAME`` for a value: two terms never share a column.
    """

    loss_B: Tensor
    logged: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Chart:
    """How a report draws logged values that belong together: as curves over one pair of axes.

    Attributes:
        title: what the curves show.
        names: of the values, as in `Term.logged`.
        span: what the y axis covers at least, so that small changes look small.
    """

    title: str
    names: tuple[str, ...]
    span: tuple[float, float] | None = None


class Objective(ABC):
    """One term of the losses that θ and ψ minimise in turn. Constructed with its options.

    An objective owns no network and no optimizer. It takes part in the roles for which `needs` returns
    something; the engine calls `generator_loss` or `estimator_loss` in just those.

    Attributes:
        one_call_only: the term is defined for a student of one network call only.
        shown: names of logged values that are shown beside the scores of a validation.
        charts: how a report draws what the term logs; a value without a chart is in the log only.
    """

    one_call_only: bool = False
    shown: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()

    @abstractmethod
    def needs(self, role: Role) -> Needs | None:
        """Return what the objective reads in ``role``, or None if it has no term there."""

    def generator_loss(self, context: StepContext) -> Term:
        """Return θ's term. Gradient reaches θ through ``context.e_fake``."""
        raise TypeError(f"{type(self).__name__} has no generator loss")

    def estimator_loss(self, context: StepContext) -> Term:
        """Return ψ's term; ``context.e_fake`` is a constant here."""
        raise TypeError(f"{type(self).__name__} has no estimator loss")

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:  # noqa: B027  most name no times
        """Check options that depend on the teacher; called before any training.

        Args:
            schedule: the teacher's.
            t_init: the time of θ's first network call.

        Raises:
            InputError: an option is impossible with them; the sentence begins with the option's name.
        """

    def observe(self, role: Role, means: Mapping[str, float]) -> Mapping[str, float]:
        """Read the values that this term logged in an update, as means over the global batch.

        For objectives that adapt to the training. What they learn is their `state`.

        Args:
            role: whose update it was.
            means: by the names in `Term.logged`.

        Returns:
            More values to log.
        """
        return {}

    def state(self) -> Mapping[str, float]:
        """Return what `observe` has learned, to be checkpointed: a run that resumes is the same run."""
        return {}

    def load_state(self, state: Mapping[str, float]) -> None:  # noqa: B027  most learn nothing
        """Take back what `state` returned."""
