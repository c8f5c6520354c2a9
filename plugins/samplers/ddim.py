"""DDIM (Song et al. 2021) in α and σ alone: neither a variance-preserving process nor whole times assumed."""

from collections.abc import Sequence

from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, NoiseSchedule, Sampler, Space, Start
from dlmone.core.sampling.ddim import ddim, predictor, sampling_times
from dlmone.registry import spacing_on

from .options import DDIMOptions


class DDIM(Sampler):
    """Denoises from σ(start)·z down `sampling_times`; the last x0 prediction is the sample."""

    def __init__(self, options: DDIMOptions) -> None:
        self.options = options

    def check(self, schedule: NoiseSchedule) -> None:
        self._times(schedule, None, steps=1)

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
        schedule, shape = space.schedule, space.state_shape
        times = self._times(schedule, start, steps)
        predict = predictor(network, space, batch, self.options.rounding, self.options.temperature)
        z = noise.normal("z", shape)
        x = Start(times[0], start is not None and start.unit_input).state(space, z)
        x0 = ddim(schedule, predict, x, times, self.options.eta, lambda i: noise.normal(f"z{i}", shape))
        return space.pin(x0, space.embed_condition(batch), batch), steps

    def _times(self, schedule: NoiseSchedule, start: Start | None, steps: int) -> list[float]:
        first = schedule.max_time if start is None else start.time
        if self.options.start is not None:
            first = self.options.start.on(schedule, "start")
        until = self.options.until.on(schedule, "until") if self.options.until is not None else None
        spacing = spacing_on(self.options.spacing, schedule, "spacing")
        return sampling_times(schedule, first, steps, until, spacing)
