"""Re-noising in which the candidates of one condition repel each other: no training, no extra network calls.

A student starts from α·e + σ·z with e = 0: no signal, all noise. Candidates differ in z alone, and two values
of z often lead to one text. Here the start holds a negative signal, −s·ē, where ē is the mean of the earlier
candidates' states. A frequent text weighs more in ē and is avoided more. Particle guidance (Corso et al.,
2024) lets samples repel each other in every step; a student has one step, and the push is in its input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, Space, Start
from dlmone.core.model.schedule import expand
from dlmone.core.step.renoise import renoise, renoising_times

from .options import RepelOptions
from .renoise import Renoise


class Repel(Renoise):
    """Starts from σ·z − s·α·ē; the first candidate, and strength s = 0, are `Renoise`'s."""

    def __init__(self, options: RepelOptions) -> None:
        super().__init__(options)
        self.strength = options.strength

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
        start = start or Start(space.schedule.max_time)
        times = renoising_times(space.schedule, start.time, steps, self.spread(space.schedule, start))
        x = start.state(space, noise.normal("z", space.state_shape))
        if earlier:
            x = x - self.strength * _signal(space, batch, start.time, earlier)
        return renoise(network, space, batch, x, times, noise), steps


def _signal(space: Space, batch: Batch, time: float, earlier: Sequence[Tensor]) -> Tensor:
    """Return α·ē at ``time``, zero where an earlier candidate has [PAD].

    The length of a text, and where it ends, is not to be pushed away from.
    """
    states = [e.masked_fill(space.blank(e, batch), 0) for e in earlier]
    t_B = space.schedule.tensor(time, len(batch), states[0].device)
    return expand(space.schedule.alpha(t_B), states[0]) * torch.stack(states).mean(0)
