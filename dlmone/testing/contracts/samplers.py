"""The Sampler contract: keyed, pinned, counted, and the same in every batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone.core import InputError, Noise, Sampler, Start, Teacher

from ..claims import alike, require, require_refusal
from ..toy import EXAMPLES, toy_teacher
from ..watched import Call, Watched


def check_sampler(sampler: Sampler, *, steps: int = 4, teacher: Teacher | None = None) -> None:
    """Check a sampler against its contract: for teachers, for students, and with earlier candidates.

    Args:
        sampler: the one to check.
        steps: a number of steps that it can take.
        teacher: one whose space collates the toy's examples (the toy itself by default).

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    trial = _Trial(sampler, steps, teacher or toy_teacher())
    state = trial.checked()
    again, _ = trial.sample()
    require(torch.equal(state, again), "the same noise gave another sample; every draw must come from it")
    other, _ = trial.sample(seed=1)
    require(not alike(state, other), "another seed gave the same sample, so the noise has no effect")
    for row in range(len(EXAMPLES)):
        alone, _ = trial.sample(slice(row, row + 1))
        require(alike(alone[0], state[row]), "a sample depends on its batch mates; key all draws by sample")
    _check_start(trial)
    _check_earlier(trial, [other, state])
    require_refusal(lambda: trial.sample(steps=0), "0 steps")


def _check_start(trial: "_Trial") -> None:
    schedule = trial.space.schedule
    for quantile in (0.75, 0.5):
        time = schedule.time_of_quantile(quantile)
        try:
            trial.checked(start=Start(int(time) if schedule.discrete else time))
        except InputError:
            return  # it begins where it begins
        first = trial.network.calls[0].t_B[0].item()
        require(abs(first - time) < 1, f"started at {time:g}, a sampler must not begin at {first:g}")


def _check_earlier(trial: "_Trial", earlier: Sequence[Tensor]) -> None:
    kept = [state.clone() for state in earlier]
    state = trial.checked(earlier=earlier)
    same = all(map(torch.equal, earlier, kept))
    require(same, "sample() must not change the states of earlier candidates in place")
    for row in range(len(EXAMPLES)):
        rows = slice(row, row + 1)
        alone, _ = trial.sample(rows, earlier=[one[rows] for one in earlier])
        require(alike(alone[0], state[row]), "with earlier candidates, a sample depends on its batch mates")


class _Trial:
    def __init__(self, sampler: Sampler, steps: int, teacher: Teacher) -> None:
        self.sampler, self.steps, self.space = sampler, steps, teacher.space
        self.network = Watched(teacher.network)
        self.batch = teacher.space.collate(EXAMPLES)

    def checked(self, start: Start | None = None, earlier: Sequence[Tensor] = ()) -> Tensor:
        """Return a sample of the whole batch: of the right shape, pinned, counted."""
        state, calls = self.sample(start=start, earlier=earlier)
        wanted, found = (len(EXAMPLES), *self.space.state_shape), tuple(state.shape)
        require(found == wanted, f"sample() must return states {wanted}, not {found}")
        require(bool(state.isfinite().all()), "sample() returned states that are not finite")
        require(self.pinned(state), "sample() must return states with the given entries pinned")
        made = len(self.network.calls)
        require(calls == made, f"sample() reports {calls} network calls, but made {made}")
        for call in self.network.calls:
            self.check_call(call)
        return state

    def sample(
        self,
        rows: slice = slice(None),
        seed: int = 0,
        steps: int | None = None,
        start: Start | None = None,
        earlier: Sequence[Tensor] = (),
    ) -> tuple[Tensor, int]:
        batch = self.batch[rows]
        noise = Noise([(seed, id) for id in batch.ids])
        self.network.calls.clear()
        with torch.no_grad():
            steps = self.steps if steps is None else steps
            return self.sampler.sample(self.network, self.space, batch, noise, steps, start, earlier)

    def pinned(self, state: Tensor) -> bool:
        return torch.equal(self.space.pin(state, self.space.embed_condition(self.batch), self.batch), state)

    def check_call(self, call: Call) -> None:
        schedule = self.space.schedule
        within = bool(((call.t_B >= schedule.min_time) & (call.t_B <= schedule.max_time)).all())
        trained = f"{schedule.min_time:g} to {schedule.max_time:g}"
        require(within, f"a network call at time {call.t_B[0]:g} leaves the trained range, {trained}")
        require(self.pinned(call.e_t), "a network call must see the given entries pinned")
