"""The Objective contract: one pure loss term of the two alternating updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .request import Auxiliary, Average, Request, Role

if TYPE_CHECKING:
    from .context import StepContext
    from .schedule import NoiseSchedule


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

    An objective owns no network and no optimizer: it requests evaluations, and declares the networks of its
    own in ``auxiliaries``. It takes part in the roles for which `requests` returns a sequence; a stage
    calls `generator_loss` or `estimator_loss` in just those.

    Attributes:
        shown: names of logged values that are shown beside the scores of a validation.
        charts: how a report draws what the term logs; a value without a chart is in the log only.
        auxiliaries: the networks it brings, which a run trains, averages, checkpoints and restores.
    """

    shown: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    auxiliaries: Sequence[Auxiliary | Average] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "needs") and cls.requests is Objective.requests:
            raise TypeError(
                f"{cls.__name__} defines needs(), which became requests(): it returns evaluations, such as "
                "Request(TEACHER, Noised()), and step[request].x0 reads one (docs/objectives.md)"
            )

    @abstractmethod
    def requests(self, role: Role) -> Sequence[Request] | None:
        """Return the evaluations that the term of a role reads, the same every time; None for no term.

        θ's own output needs no request: `StepContext.e_fake` is always there.
        """

    def generator_loss(self, step: StepContext) -> Term:
        """Return θ's term. Gradient reaches θ through what θ computed: ``step.e_fake``, and its requests."""
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

    def state(self) -> Mapping[str, float | Tensor]:
        """Return what `observe` has learned, to be checkpointed: a run that resumes is the same run."""
        return {}

    def load_state(self, state: Mapping[str, float | Tensor]) -> None:  # noqa: B027  most learn nothing
        """Take back what `state` returned."""
