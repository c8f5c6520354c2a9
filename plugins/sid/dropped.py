"""A state for guidance: noised outputs, of which some have lost their condition."""

from dataclasses import dataclass, replace

import torch

from dlmone.core import Batch, Noised, Point, Request, State, StepContext


@dataclass(frozen=True, slots=True)
class Dropped(State):
    """`Noised` outputs; a share of the samples has the null condition in the place of its own.

    What θ wrote is kept, so that f_ψ(∅) learns the score of all outputs. SiD-LSG has θ write without the
    condition too.
    """

    share: float

    @property
    def requests(self) -> tuple[Request, ...]:
        return Noised().requests

    def build(self, step: StepContext) -> Point:
        whole, space = step.point(Noised()), step.space
        null = space.null_condition(whole.batch)
        dropped_B1 = (step.noise.uniform("condition") < self.share)[:, None]
        tokens_BL = torch.where(dropped_B1, null.tokens_BL, whole.batch.tokens_BL)
        target_BL = torch.where(dropped_B1, null.target_BL, whole.batch.target_BL)
        batch = space.encode(Batch(null.ids, tokens_BL, target_BL))
        return replace(whole, e_t=space.pin(whole.e_t, space.embed_condition(batch), batch), batch=batch)
