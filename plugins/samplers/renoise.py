"""Re-noising (Table 4): predict the clean state, noise it again with fresh noise, predict again."""

from collections.abc import Sequence

from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, NoiseSchedule, Sampler, Space, Spacing, Start
from dlmone.core.step.renoise import renoise, renoising_times
from dlmone.registry import spacing_on

from .options import RenoiseOptions


class Renoise(Sampler):
    """Calls at t_i = t_init·(1 − i/n), as students make them, or at the last time·(1 − i/n)."""

    def __init__(self, options: RenoiseOptions) -> None:
        self.spacing = options.spacing

    def check(self, schedule: NoiseSchedule) -> None:
        if self.spacing is not None:
            spacing_on(self.spacing, schedule, "spacing")

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
        return renoise(network, space, batch, x, times, noise), steps

    def spread(self, schedule: NoiseSchedule, start: Start) -> Spacing:
        """Return the spacing of the calls: the option's, or that of ``start``."""
        return start.spacing if self.spacing is None else spacing_on(self.spacing, schedule, "spacing")
