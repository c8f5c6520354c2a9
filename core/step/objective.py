"""Define the Objective contract: one loss term of the two alternating updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .. import earlier
from .request import Auxiliary, Average, Request, Role

if TYPE_CHECKING:
    from ..model.schedule import NoiseSchedule
    from .context import StepContext


@dataclass(frozen=True, slots=True)
class Term:
    """A loss term: one value per sample [B], and detached values [B] to log by name.

    The log stores a value as ``TERM/NAME``, with the recipe's name for the term, so two terms never collide.
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
    """One term of the losses that θ and ψ minimise alternately. Constructed with its options.

    An objective owns no network and no optimizer. It requests evaluations, and declares further networks in
    ``auxiliaries``. It is active in the roles for which `requests` returns a sequence; a stage calls
    `generator_loss` or `estimator_loss` in those only.

    Attributes:
        shown: names of logged values to print next to validation scores.
        charts: how a report plots the logged values; a value without a chart is only in the log.
        auxiliaries: further networks, which a run trains, averages, checkpoints and restores.
    """

    shown: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    auxiliaries: Sequence[Auxiliary | Average] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.requests is Objective.requests:
            earlier.refuse_members(cls, earlier.OBJECTIVE)

    @abstractmethod
    def requests(self, role: Role) -> Sequence[Request] | None:
        """Return the evaluations that a role's term reads, the same on every call; None for no term.

        θ's own output, `StepContext.e_fake`, needs no request (`OUTPUT`) unless another evaluation trains θ.
        """

    def generator_loss(self, step: StepContext) -> Term:
        """Return θ's term. Gradient reaches θ through ``step.e_fake`` and requested evaluations of θ."""
        raise TypeError(f"{type(self).__name__} has no generator loss")

    def estimator_loss(self, step: StepContext) -> Term:
        """Return ψ's term; ``step.e_fake`` is a constant here."""
        raise TypeError(f"{type(self).__name__} has no estimator loss")

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:  # noqa: B027  most name no times
        """Check options that depend on the teacher; called before any training.

        Args:
            schedule: the teacher's.
            t_init: the time of θ's first network call.

        Raises:
            InputError: an option does not fit them; the message begins with the option's name.
        """

    def observe(self, role: Role, means: Mapping[str, Tensor]) -> Mapping[str, float | Tensor]:
        """Read the values that this term logged in an update, as means over the global batch.

        For objectives that adapt during training; `state` returns what they have adapted.

        Args:
            role: the role that was updated.
            means: by the names in `Term.logged`; float64 tensors of one entry, on the device. Compute
                with them as they are: ``float(…)`` and ``if`` make the host wait for the device.

        Returns:
            Additional values to log: numbers, or tensors of one entry.
        """
        return {}

    def state(self) -> Mapping[str, float | Tensor]:
        """Return what `observe` has learned. It is checkpointed, so that resuming is exact."""
        return {}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:  # noqa: B027  most learn nothing
        """Restore what `state` returned."""
