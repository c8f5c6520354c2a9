"""Regression onto deterministic samples (Luhman and Luhman 2021; a term of DMD's loss)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dlmone.core import (
    GENERATOR,
    START,
    TEACHER,
    Average,
    GeneratorInput,
    Network,
    NoiseSchedule,
    Objective,
    Point,
    Request,
    Start,
    State,
    StepContext,
    Term,
)
from dlmone.core.model.denoiser import temperature_of
from dlmone.core.sampling.ddim import ddim_step, sampling_times
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.registry import spacing_on

from .options import RegressionOptions


@dataclass(frozen=True, slots=True)
class Descent(State):
    """The ``index``-th state of the DDIM trajectory that computes the target; φ is called at each."""

    options: RegressionOptions
    theta: Network | None
    index: int = 0

    @property
    def before(self) -> Request | None:
        """The evaluation from which the state is computed."""
        if self.index:
            return Request(TEACHER, replace(self, index=self.index - 1))
        return Request(self.theta, GeneratorInput()) if self.theta else None

    @property
    def requests(self) -> tuple[Request, ...]:
        return (self.before,) if self.before else ()

    def build(self, step: StepContext) -> Point:
        space, batch, schedule = step.space, step.fake, step.space.schedule
        times = step_times(step, self.options)
        t_B = schedule.tensor(times[self.index], len(batch), step.z.device)
        temperature = temperature_of(step.networks[TEACHER], self.options.temperature).get("temperature")
        if self.before is None:
            start = step.generator_input.e_t if step.calls[0] > 1 else Start(times[0]).state(space, step.z)
            return Point(space.pin(start, step.given, batch), t_B, batch, temperature=temperature)
        x0 = space.round(step[self.before].x0)
        if self.index or step.calls[0] > 1:
            above = step.point(self.before.state)
            e_t = ddim_step(schedule, x0, above.e_t, above.t_B, t_B)
        else:
            # θ's first input is pure noise, so z is also the noise estimate; this avoids a division by σ_t.
            e_t = schedule.diffuse(x0, t_B, step.z)
        return Point(space.pin(e_t, step.given, batch), t_B, batch, temperature=temperature)


def step_times(step: StepContext, options: RegressionOptions) -> list[float]:
    """Return the times of φ's calls, down from φ's last time, or from θ's call if θ gives the start."""
    k, calls = step.calls
    from_theta = options.from_theta or k > 1
    top = step.generator.call_times(calls)[k - 1] if from_theta else step.space.schedule.max_time
    return descent_times(step.space.schedule, top, options)[options.from_theta :]


def descent_times(schedule: NoiseSchedule, top: float, options: RegressionOptions) -> list[float]:
    """Return the times of a target's network calls from ``top`` down, the student's included."""
    until = options.until.on(schedule, "until") if options.until is not None else None
    spacing = spacing_on(options.spacing, schedule, "spacing")
    return sampling_times(schedule, top, options.steps, until, spacing)


class Regression(Objective):
    """Train one call of θ to match the result of several calls from the same state: ‖G_θ(c, z) − e*(c, z)‖².

    e* is φ's DDIM sample from z. DDIM is deterministic, so each z has one target, and the loss does not
    average over targets as long as θ can learn the map. No ψ is needed. Learning rates can be higher than in
    score distillation, where ψ has to track θ. For a few-step student, a later call (k > 1) is trained to
    match φ's DDIM sample from that call's input.

    With ``initial = "student"``, φ instead refines the sample that θ gave for z at the start of the stage.
    θ already maps each z to one sentence, and e* is a corrected version of that sentence. θ then refines its
    own map. It need not learn the teacher's map, whose errors lie near the borders between sentences. With
    ``initial = "average"`` φ refines the moving average of θ instead: targets improve as θ does.
    """

    def __init__(self, options: RegressionOptions) -> None:
        self.options = options
        average = Average("average", GENERATOR, options.rate)
        theta = {"teacher": None, "student": START, "average": average}[options.initial]
        self.auxiliaries = (average,) if theta is average else ()
        self.target = Request(TEACHER, Descent(options, theta, options.steps - options.from_theta - 1))

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.target,) if role == "generator" else None

    def check(self, schedule: NoiseSchedule, t_init: float) -> None:
        top = t_init if self.options.from_theta else schedule.max_time
        descent_times(schedule, top, self.options)

    def generator_loss(self, step: StepContext) -> Term:
        target = step.space.round(step[self.target].x0)
        return Term(masked_mean((step.e_fake - target) ** 2, step.mask), {})
