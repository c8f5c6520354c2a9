"""DDIM (Song et al. 2021) in α and σ alone: neither a variance-preserving process nor whole times assumed."""

from collections.abc import Sequence

from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, NoiseSchedule, Sampler, Space, Start, TimePoint
from dlmone.core.ddim import ddim, predictor, sampling_times

from .options import DDIMOptions


class DDIM(Sampler):
    """Denoises from σ(start)·z down `sampling_times`; the last x0 prediction is the sample."""

    def __init__(self, options: DDIMOptions) -> None:
        self.options = options

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
        first, until = self._first_time(schedule, start), None
        if self.options.until is not None:
            until = schedule.resolve(TimePoint(self.options.until), "ddim's until")
        times = sampling_times(schedule, first, steps, until)
        predict = predictor(network, space, batch, self.options.rounding)
        z = noise.normal("z", shape)
        x = Start(times[0], start is not None and start.unit_input).state(space, z)
        x0 = ddim(schedule, predict, x, times, self.options.eta, lambda i: noise.normal(f"z{i}", shape))
        return space.pin(x0, space.embed(batch), batch), steps

    def _first_time(self, schedule: NoiseSchedule, start: Start | None) -> float:
        """Return where the options say, or else where the network was made to begin."""
        if self.options.start is not None:
            return schedule.resolve(TimePoint(self.options.start), "ddim's start")
        return schedule.max_time if start is None else start.time
