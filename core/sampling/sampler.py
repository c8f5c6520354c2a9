"""Define samplers: inference with a denoiser in several network calls."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ..contract import require
from ..earlier import Renamed
from ..errors import InputError
from ..model.denoiser import Denoiser
from ..model.schedule import NoiseSchedule, expand
from ..model.space import Batch, Space
from ..step.noise import Noise
from .spacing import Spacing


@dataclass(frozen=True, slots=True)
class Start(Renamed):
    """A student's starting point: σ(time)·z at ``time``, or z itself (``unit_input``).

    ``spacing`` is that of its re-noised calls.
    """

    renamed = MappingProxyType({"unit": "unit_input"})

    time: float
    unit_input: bool = False
    spacing: Spacing = "time"

    def state(self, space: Space, z: Tensor) -> Tensor:
        """Return the first noisy state from standard normal ``z`` [B, *state_shape]."""
        if self.unit_input:
            return z
        return expand(space.schedule.sigma(space.schedule.tensor(self.time, 1, z.device)), z) * z


class Sampler(ABC):
    """Samples with a denoiser. A plugin's sampler is constructed with its options."""

    def check(self, schedule: NoiseSchedule) -> None:  # noqa: B027  most name no times
        """Check options that depend on the teacher's schedule; called before any training.

        Raises:
            InputError: an option does not fit it; the message begins with the option's name.
        """

    @abstractmethod
    def sample(
        self,
        network: Denoiser,
        space: Space,
        batch: Batch,
        noise: Noise,
        steps: int,
        start: Start | None = None,
        earlier: Sequence[Tensor] = (),
    ) -> tuple[Tensor, int]:
        """Return final states [B, *state_shape], given entries pinned, and the network calls made.

        Args:
            network: a teacher's φ or a student's θ.
            space: its space.
            batch: the conditions.
            noise: keyed random numbers; the initial noise is named ``z``.
            steps: the number of steps. The number of network calls may differ (order,
                stride); it is returned.
            start: a student's starting point; None for the sampler's own (the teacher's trained range).
            earlier: the final states of earlier candidates for the same batch, in order. Samplers of
                independent candidates ignore them.

        Raises:
            InputError: the sampler does not support this number of steps with this schedule, or cannot start
                at ``start``.
        """

    def decode(self, network: Denoiser, space: Space, state: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Return the token ids [B, L] of final states from `sample`, and the network calls this took.

        A sampler that guides the network, where that is an input, may guide it here too.
        """
        return network.decode(state, batch, space)


def sampled(sampler: Sampler, network: Denoiser, space: Space, batch: Batch, *args: Any, **more: Any) -> Any:
    """Return what `Sampler.sample` returns.

    Raises:
        PluginError: it is not final states with the number of network calls.
    """
    found = sampler.sample(network, space, batch, *args, **more)
    shape = (len(batch), *space.state_shape)
    fits = isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Tensor)
    fits = fits and tuple(found[0].shape) == shape and isinstance(found[1], int)
    require(fits, sampler, "sample", f"(states of shape {shape}, the number of network calls)", found)
    return found


def require_steps(steps: int) -> None:
    """Check a number of steps.

    Raises:
        InputError: it is less than one.
    """
    if steps < 1:
        raise InputError(f"a sampler takes at least one step, not {steps}")
