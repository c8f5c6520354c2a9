"""dlmone.testing.check_teacher finds each fault of a teacher, its space and its network, and says so."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Batch, Denoised, DiffusionGenerator, Noise, Point, Space, Start, TrainingLoss
from dlmone.testing import ToyTeacher, check_teacher, toy_teacher
from dlmone.testing.toy import EXAMPLES, ToyNetwork

from .finds import Finds


def patched(place: str, change: Callable[..., Any]) -> Callable[[], ToyTeacher]:
    """Build toys whose method at ``place`` is ``change(toy, right answer, *its arguments)``."""

    def build() -> ToyTeacher:
        toy = toy_teacher()
        *path, name = place.split(".")
        part = getattr(toy, path[0]) if path else toy
        right = getattr(part, name)

        def wrong(*args: Any, **named: Any) -> Any:
            return change(toy, right(*args, **named), *args)

        setattr(part, name, wrong)
        return toy

    return build


def network(change: Callable[..., Tensor]) -> Callable[[], ToyTeacher]:
    """Build toys whose x0 is ``change(x0, e_t)``."""
    return patched("network.denoise", lambda _, right, e_t, *__: replace(right, x0=change(right.x0, e_t)))


def training(change: Callable[[Tensor], Tensor]) -> Callable[[], ToyTeacher]:
    """Build toys whose training loss is ``change(loss_B)``."""
    return patched("training_loss", lambda _, right, *__: replace(right, loss_B=change(right.loss_B)))


class Reset(ToyTeacher):
    """Restores without its options."""

    def config(self) -> dict[str, Any]:
        return {**super().config(), "length": 12}


class Unordered(ToyTeacher):
    """Saves its words in another order."""

    def assets(self) -> dict[str, bytes]:
        return {"words.txt": "\n".join(sorted(self.space.words, reverse=True)).encode()}


class Forgetful(ToyTeacher):
    """Learns from what it observes, and does not save it."""

    seen = 0.0

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        right = super().training_loss(batch, noise)
        return TrainingLoss(right.loss_B + self.seen, {"loss": right.loss_B.detach()}, {})

    def observe(self, observation: Any) -> None:
        self.seen += observation["loss"].mean().item()


class Extra(ToyTeacher):
    """Has weights beside those of its space and its network."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.scale = nn.Parameter(torch.ones(1))


class Sharing(ToyTeacher):
    """Its network holds the space, as one does that reads the embedding table."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.space.scale = nn.Parameter(torch.ones(1))
        self.network.space = self.space


class Unpinned(DiffusionGenerator):
    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return self.network.denoise(z, self.space.schedule.tensor(self.t_init, len(batch)), batch).x0


class Overridden(DiffusionGenerator):
    """Samples otherwise than it is trained."""

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return super().one_step(batch, 2 * z)


class Misnamed(DiffusionGenerator):
    """Its exported graph would give the batch's own tokens."""

    def one_step_tokens(self, batch, noise):
        return batch.tokens_BL


class Undeclared(DiffusionGenerator):
    """Its exported graph would need an input that it does not have."""

    def one_step_tokens(self, batch, noise):
        noise.uniform("coin")
        return self.generate(batch, noise).tokens_BL


class Rushed(DiffusionGenerator):
    """Trained in one call, it samples otherwise in several."""

    def roll_out(self, batch, noise, calls, steps):
        e = super().roll_out(batch, noise, calls, steps)
        return e if steps == 1 else self.space.pin(e / 2, e, batch)


class Countdown(DiffusionGenerator):
    """Looks for the last of its steps."""

    def generate(self, batch, noise, steps=1, earlier=()):
        return super().generate(batch, noise, 1 + list(range(steps))[-1], earlier)


@dataclass(frozen=True)
class CrowdedStart(Start):
    def state(self, space: Space, z: Tensor) -> Tensor:
        return Start.state(self, space, z + z.mean(0))


class Crowded(DiffusionGenerator):
    @property
    def start(self) -> Start:
        return CrowdedStart(self.t_init)


class Scaled(DiffusionGenerator):
    """Has a weight beside those of its network."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.scale = nn.Parameter(torch.ones(1))


@dataclass(frozen=True)
class DoubledStart(Start):
    def state(self, space: Space, z: Tensor) -> Tensor:
        return 2 * Start.state(self, space, z)


class Doubled(DiffusionGenerator):
    @property
    def start(self) -> Start:
        return DoubledStart(self.t_init)


class Indebted(ToyTeacher):
    """Weighs its samples by nothing that adds up."""

    def training_loss(self, batch, noise):
        answer = super().training_loss(batch, noise)
        return replace(answer, weight_B=-torch.ones(len(batch)))


class Undecided(ToyTeacher):
    """Says that its loss is the batch's, and gives one a sample."""

    def training_loss(self, batch, noise):
        return replace(super().training_loss(batch, noise), batch_wide=True)


class Doubly(ToyTeacher):
    """Updates its network twice over."""

    def new_optimizers(self, **adam):
        return [torch.optim.AdamW(self.network.parameters(), **adam) for _ in range(2)]


class Tracer(torch.optim.SGD):
    """Keeps what no checkpoint can hold."""

    def step(self, closure=None):
        super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["trace"] = [1]


class Tracing(ToyTeacher):
    def new_optimizers(self, **adam):
        return [Tracer(self.network.parameters(), lr=adam["lr"])]


class Moody(ToyTeacher):
    """Makes another kind of student when it has been built than when it has been restored."""

    student: type[DiffusionGenerator] = DiffusionGenerator

    @classmethod
    def build(cls, *args: Any) -> Self:
        teacher = super().build(*args)
        teacher.student = Doubled
        return teacher

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        return self.student(copy.deepcopy(self.network), self.space, t_init, unit_input)


class Wider(Moody):
    """Makes students of another size when it has been built than when it has been restored."""

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        options = replace(self.options, hidden=16 if self.student is Doubled else 8)
        return DiffusionGenerator(ToyNetwork(options, len(self.space.words)), self.space, t_init, unit_input)


def reading_the_reference() -> ToyTeacher:
    """Build a toy whose network reads the reference in its batch."""
    change = lambda toy, right, e_t, t_B, batch, **_: replace(  # noqa: E731
        right, x0=right.x0 + 0.01 * toy.space.embed(batch)
    )
    return patched("network.denoise", change)()


def claiming(name: str, shift: Callable[..., float] = lambda **_: 0.0) -> Callable[[], ToyTeacher]:
    """Build toys whose network says that it takes an input; its x0 moves by ``shift``."""

    def build() -> ToyTeacher:
        toy = toy_teacher()
        right = toy.network.denoise

        def denoise(*args: Any, previous: Any = None, guidance: Any = None, **named: Any) -> Denoised:
            answer = right(*args, **named)
            return answer.with_x0(answer.x0 + shift(previous=previous, guidance=guidance))

        toy.network.denoise = denoise
        setattr(toy.network, name, True)
        return toy

    return build


class Blending(DiffusionGenerator):
    """Begins its samples at the reference."""

    def input_of(self, batch: Batch, given: Tensor, noise: Noise, k: int, steps: int) -> Point:
        point = super().input_of(batch, given, noise, k, steps)
        return replace(point, e_t=self.space.pin(point.e_t + self.space.embed(batch), given, batch))

    def one_step(self, batch: Batch, z: Tensor) -> Tensor:
        return self.roll_out(batch, Noise([(0, id) for id in batch.ids]), 1, 1)


def bound(student: DiffusionGenerator) -> DiffusionGenerator:
    """Bind a student to its network in a closure, which copying it does not reach."""
    vars(student)["roll_out"] = lambda *args: DiffusionGenerator.roll_out(student, *args)
    return student


def of(family: type[ToyTeacher]) -> Callable[[], ToyTeacher]:
    return lambda: family.build(toy_teacher().options, EXAMPLES)


TEACHERS: dict[str, Callable[[], ToyTeacher]] = {
    "collate() must keep ids": patched("space.collate", lambda _, b, *__: replace(b, ids=b.ids[::-1])),
    "target_BL must be bool": patched(
        "space.collate", lambda _, b, *__: replace(b, target_BL=b.target_BL * 1)
    ),
    "embed() must return float32": patched("space.embed", lambda _, e, *__: e.double()),
    "embed() must return (4, 10, 4)": patched("space.embed", lambda _, e, *__: e[:, 1:]),
    "round() must leave": patched("space.round", lambda _, e, *__: e.flip(1)),
    "generated() must be bool": patched("space.generated", lambda _, mask, *__: mask.float()),
    "generated() must be broadcastable": patched("space.generated", lambda _, mask, *__: mask[..., 0]),
    "pin() must overwrite": patched("space.pin", lambda _, right, state, *__: state),
    "decode() must keep": patched("space.decode", lambda _, tokens_BL, *__: 0 * tokens_BL),
    "decode(embed(batch)) must be": patched(
        "space.decode", lambda _, right, state, batch: torch.where(batch.target_BL, 0, batch.tokens_BL)
    ),
    "text() of 'rain' must be 'explain rain to me' without any marker": patched(
        "space.text", lambda _, texts, *__: [f"{text} [PAD]" for text in texts]
    ),
    "source_text() of 'rain'": patched("space.source_text", lambda _, texts, *__: texts[::-1]),
    "x0 must be float32": network(lambda x0, e_t: x0.bfloat16() if torch.is_autocast_enabled("cpu") else x0),
    "must not change e_t in place": network(
        lambda x0, e_t: x0 + 0 * e_t.add_(1) if not e_t.requires_grad else x0
    ),
    "must return the same every time": network(lambda x0, e_t: x0 + torch.rand(())),
    "x0 of a sample depends on its batch mates": network(lambda x0, e_t: x0 - x0.mean(0)),
    "x0 must be differentiable in e_t": network(lambda x0, e_t: x0.detach()),
    "give them, and their mask": patched("network.denoise", lambda _, right, *__: Denoised(right.x0)),
    "denoise() of a restored teacher": network(lambda x0, e_t: 2 * x0),
    "x0 depends on the batch's generated tokens": reading_the_reference,
    "what is generated depends on the batch's reference": patched(
        "new_generator", lambda toy, right, t_init, *__: Blending(right.network, toy.space, t_init)
    ),
    "embed_condition() depends on the reference": patched(
        "space.embed_condition", lambda toy, _, batch: toy.space.embed(batch).cumsum(1).flip(1)
    ),
    "encode() depends on the reference": patched(
        "space.encode", lambda toy, _, batch: replace(batch, encoded={"all": toy.space.embed(batch)})
    ),
    "null_condition() must keep the generated tokens": patched(
        "space.null_condition", lambda _, null, *__: replace(null, tokens_BL=0 * null.tokens_BL)
    ),
    "null_condition() must keep ids and target_BL": patched(
        "space.null_condition", lambda _, null, *__: replace(null, target_BL=~null.target_BL)
    ),
    "`previous` changes nothing": claiming("self_conditioning"),
    "previous=None must stand for zeros": claiming(
        "self_conditioning", lambda previous, **_: float(previous is None)
    ),
    "guidance=1.0 must be the plain prediction": claiming(
        "takes_guidance", lambda guidance, **_: guidance or 0.0
    ),
    "`guidance` changes nothing": claiming("takes_guidance"),
    "config() must hold JSON values only": patched("config", lambda _, right: right | {"width": (4,)}),
    "assets() may not name a file 'config.json'": patched(
        "assets", lambda _, right: right | {"config.json": b""}
    ),
    "a restored teacher tokenises otherwise": of(Unordered),
    "space and network only; ['scale'] would be lost": of(Extra),
    "must share the teacher's space": patched(
        "new_generator",
        lambda _, right, t_init, *__: DiffusionGenerator(right.network, toy_teacher().space, t_init),
    ),
    "new_generator() must copy φ": patched(
        "new_generator", lambda toy, _, t_init, *__: DiffusionGenerator(toy.network, toy.space, t_init)
    ),
    "one_step() must return the condition pinned": patched(
        "new_generator", lambda toy, right, t_init, *__: Unpinned(right.network, toy.space, t_init)
    ),
    "a student must be trained as it samples": patched(
        "new_generator", lambda toy, right, t_init, *__: Overridden(right.network, toy.space, t_init)
    ),
    "one_step_tokens() names other tokens": patched(
        "new_generator", lambda toy, right, t_init, *__: Misnamed(right.network, toy.space, t_init)
    ),
    "name='coin', shape=()), which its generator's `draws` don't name": patched(
        "new_generator", lambda toy, right, t_init, *__: Undeclared(right.network, toy.space, t_init)
    ),
    "which call 1 of 3 is not": patched(
        "new_generator", lambda toy, right, t_init, *__: Rushed(right.network, toy.space, t_init)
    ),
    "a student at 0 steps must raise InputError, not IndexError": patched(
        "new_generator", lambda toy, right, t_init, *__: Countdown(right.network, toy.space, t_init)
    ),
    "what is generated for a sample depends on its batch mates": patched(
        "new_generator", lambda toy, right, t_init, *__: Crowded(right.network, toy.space, t_init)
    ),
    "student holds space and network only; ['scale'] would be lost": patched(
        "new_generator", lambda toy, right, t_init, *__: Scaled(right.network, toy.space, t_init)
    ),
    "must generate with the network it is given": patched(
        "new_generator", lambda _, right, *__: bound(right)
    ),
    "loading loses what new_generator() makes": of(Moody),
    "must take a student's weights": of(Wider),
    "training_loss(): TrainingLoss['loss_B'] must have one value": training(lambda loss_B: loss_B.mean()),
    "training_loss() must be finite": training(lambda loss_B: loss_B / 0),
    "training_loss() must draw from its noise only": training(lambda loss_B: loss_B + torch.rand(())),
    "training_loss() of a sample depends": training(lambda loss_B: loss_B * loss_B.sum()),
    "weight_B must be detached and not negative": of(Indebted),
    "loss_B must be a scalar where it is batch_wide": of(Undecided),
    "two optimizers have network.": of(Doubly),
    "keeps a list as 'trace'": of(Tracing),
    "no gradient of training_loss()": training(lambda loss_B: loss_B.detach().requires_grad_()),
    "what observe() has learned is lost": of(Forgetful),
}


@pytest.mark.parametrize("sentence", TEACHERS)
def test_teachers(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(TEACHERS[sentence], EXAMPLES)


def test_a_network_may_share_what_is_the_spaces() -> None:
    check_teacher(of(Sharing), EXAMPLES)


def test_a_teacher_that_cannot_be_restored_is_told_by_its_own_error() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        check_teacher(of(Reset), EXAMPLES)
