"""Re-noising (Table 4): predict the clean state, blur it with fresh noise, predict again."""

from collections.abc import Sequence

from torch import Tensor

from dlmone.core import Batch, Denoiser, DiffusionGenerator, InputError, Noise, Sampler, Space, Start

from .options import NoOptions


class Renoise(Sampler):
    """Calls at t_i = int(t_init·(1 − i/n)); where no t_init is given, from the schedule's last time down."""

    def __init__(self, options: NoOptions) -> None:
        """There is nothing to set."""

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
        return as_student(network, space, start, steps).roll_out(batch, noise, steps, steps), steps


def as_student(network: Denoiser, space: Space, start: Start | None, steps: int) -> DiffusionGenerator:
    """Return the network as a student that begins at ``start``, or at the schedule's last time.

    Raises:
        InputError: ``steps`` is less than one.
    """
    if steps < 1:
        raise InputError(f"a sampler takes at least one step, not {steps}")
    time, unit = (space.schedule.max_time, False) if start is None else (start.time, start.unit_input)
    return DiffusionGenerator(network, space, time, unit)
