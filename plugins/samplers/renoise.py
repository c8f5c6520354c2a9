"""Re-noising (Table 4): predict the clean state, noise it again with fresh noise, predict again."""

from collections.abc import Sequence

from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, Sampler, Space, Start
from dlmone.core.renoise import renoise, renoising_times

from .options import NoOptions


class Renoise(Sampler):
    """Calls at t_i = t_init·(1 − i/n), as students make them, or at the last time·(1 − i/n)."""

    def __init__(self, options: NoOptions) -> None:
        """There are no options."""

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
        times = renoising_times(space.schedule, start.time, steps)
        x = start.state(space, noise.normal("z", space.state_shape))
        return renoise(network, space, batch, x, times, noise), steps
