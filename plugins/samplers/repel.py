"""Re-noising in which the candidates of one condition repel each other: no training, no further calls.

A network starts from α·e + σ·z with e = 0: no signal, all noise. z is all that tells one candidate from the
next, and two draws of it often lead to one text. Here the start says what the text is *not* to be: its signal
is −s·ē, where ē is the mean of the earlier candidates' states. A text that was written often weighs more in ē
and is avoided more. Particle guidance (Corso et al., 2024) lets samples repel each other in every step; a
student has one step, and the push is in its input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone.core import Batch, Denoiser, DiffusionGenerator, Noise, Sampler, Space, Start
from dlmone.core.schedule import expand

from .options import RepelOptions
from .renoise import as_student


class Repel(Sampler):
    """Starts from σ·z − s·α·ē; the first candidate, and strength s = 0, are `Renoise`'s."""

    def __init__(self, options: RepelOptions) -> None:
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
        student = as_student(network, space, start, steps)
        x = student.start.state(space, noise.normal("z", space.state_shape))
        if earlier:
            x = x - self.strength * self._signal(student, batch, earlier)
        e = student.call(batch, x, student.t_init)
        for i in range(1, steps):
            e = student.again(batch, e, noise, i, steps)
        return e, steps

    def _signal(self, student: DiffusionGenerator, batch: Batch, earlier: Sequence[Tensor]) -> Tensor:
        """Return α·ē at the student's first time, without what stands for nothing: how long a text is to be,
        and where it ends, is not for the earlier ones to say."""
        space = student.space
        said = [e.masked_fill(space.blank(e, batch), 0) for e in earlier]
        t_B = space.schedule.tensor(student.t_init, len(batch), said[0].device)
        return expand(space.schedule.alpha(t_B), said[0]) * torch.stack(said).mean(0)
