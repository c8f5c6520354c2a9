"""A state for guidance: noised outputs, of which some have lost their condition."""

from dataclasses import dataclass, replace

from dlmone.core import Noised, Point, Request, State, StepContext


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
        dropped_B = step.noise.uniform("condition") < self.share
        batch = space.encoded_null(whole.batch).where(dropped_B, whole.batch)
        return replace(whole, e_t=space.pin(whole.e_t, space.embed_condition(batch), batch), batch=batch)
