"""The Teacher contract: rebuilt from what a folder holds, and the start of θ and ψ."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from dlmone.core import (
    Batch,
    DiffusionGenerator,
    Example,
    InputError,
    Noise,
    PluginError,
    Teacher,
    TrainingLoss,
)
from dlmone.registry.schema import PretrainOptimizer
from dlmone.training.teacher_answers import check_answers, check_parts, check_training_loss
from dlmone.training.updates.optimizer import Optimizer, adam_settings

from ..claims import alike, claimed, require, require_refusal
from ..steps import perturbed
from .denoisers import check_denoiser
from .spaces import check_space, encoded, other_reference

#: The call of a one-step student, and each of a student of three calls.
CALLS = ((1, 1), (1, 3), (2, 3), (3, 3))
#: File names of a published model that are not the teacher's to give.
RESERVED = {"config.json", "model.safetensors", "README.md"}


def check_teacher(
    build: Callable[[], Teacher], examples: Sequence[Example], *, invertible: bool = True
) -> None:
    """Check a teacher, its space, its network and its copies against their contracts, on the CPU in float32.

    Args:
        build: makes the teacher; a small one, for it is called hundreds of times.
        examples: three or more that it knows every word of and need not cut.
        invertible: whether ``decode(embed(batch))`` gives back the tokens. It need not for a teacher
            that decodes with weights which are not trained yet.

    Raises:
        AssertionError: it violates a contract; the message says how.
    """
    require(len(examples) >= 3, "check_teacher takes three or more examples")
    teacher = build()
    with claimed():
        check_parts(teacher, type(teacher))
        teacher = teacher.requires_grad_(True).eval()
        check_answers(teacher, examples, torch.device("cpu"))
    check_space(teacher.space, examples, invertible=invertible)
    batch = encoded(teacher.space, teacher.space.collate(examples))
    check_denoiser(teacher.network, teacher.space, batch, teacher.feature_width)
    _check_restore(teacher, examples)
    _check_generator(teacher, batch)
    _check_estimator(teacher, batch)
    _check_training(teacher, teacher.space.collate(examples))


def _restored(teacher: Teacher) -> Teacher:
    """Rebuild a teacher as loading does, from JSON, files and tensors."""
    config = json.loads(json.dumps(teacher.config()))
    other = type(teacher).restore(config, teacher.assets())
    other.load_state_dict(teacher.state_dict())
    return other.eval()


def _check_restore(teacher: Teacher, examples: Sequence[Example]) -> None:
    config: Any = teacher.config()
    try:
        kept = json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"config() must hold JSON values only: {error}") from error
    require(kept == config, f"config() must hold JSON values only: {config} comes back as {kept}")
    for name, content in teacher.assets().items():
        require(isinstance(content, bytes), f"assets()[{name!r}] must be bytes")
        plain = "/" not in name and name not in RESERVED
        require(plain, f"assets() may not name a file {name!r}: a plain name of its own is wanted")
    outside = [key for key in teacher.state_dict() if not key.startswith(("space.", "network."))]
    require(not outside, f"a published folder holds space and network only; {outside} would be lost")

    other, batch = _restored(teacher), encoded(teacher.space, teacher.space.collate(examples))
    again = encoded(other.space, other.space.collate(examples))
    same = torch.equal(batch.tokens_BL, again.tokens_BL) and torch.equal(batch.target_BL, again.target_BL)
    require(same, "a restored teacher tokenises otherwise: config() and assets() must hold all that matters")
    e, t_B = teacher.space.embed(batch), teacher.space.schedule.tensor(_t_init(teacher), len(batch))
    pairs = {
        "embed": (e, other.space.embed(batch)),
        "denoise": (teacher.network.denoise(e, t_B, batch).x0, other.network.denoise(e, t_B, again).x0),
        "decode": tuple(one.network.decode(-e, batch, one.space)[0] for one in (teacher, other)),
    }
    for name, (before, after) in pairs.items():
        same = before.shape == after.shape and torch.equal(before, after)
        require(
            same, f"{name}() of a restored teacher gives something else, although it has the same weights"
        )


def _check_generator(teacher: Teacher, batch: Batch) -> None:
    generator = teacher.new_generator(_t_init(teacher), False).eval()
    require(generator.space is teacher.space, "new_generator() must share the teacher's space")
    _require_own(generator.network, teacher, "new_generator()")
    _check_one_step(generator, batch)
    _check_graph(generator, batch)
    together = _states(generator, batch)
    for row in range(len(batch)):
        alone = _states(generator, batch[row : row + 1])
        require(alike(alone[0], together[row]), "what is generated for a sample depends on its batch mates")
    blind = _states(generator, encoded(teacher.space, other_reference(batch)))
    require(torch.equal(blind, together), "what is generated depends on the batch's reference: it leaks")
    _check_student_kept(generator, teacher, batch)


def _check_student_kept(generator: DiffusionGenerator, teacher: Teacher, batch: Batch) -> None:
    """Require that a student is the same after it was copied, and after it was published and loaded."""
    states = _states(generator, batch)
    copied = generator.with_network(copy.deepcopy(generator.network))
    same = torch.equal(_states(copied, batch), states)
    require(same, "a copy of new_generator()'s student, with_network(), generates something else")
    other = generator.with_network(perturbed(copy.deepcopy(generator.network), seed=0))
    used = not torch.equal(_states(other, batch), states)
    require(used, "with_network() of new_generator()'s student must generate with the network it is given")
    outside = [key for key in generator.state_dict() if not key.startswith(("space.", "network."))]
    require(not outside, f"a published student holds space and network only; {outside} would be lost")
    loaded = _restored(teacher).new_generator(_t_init(teacher), False).eval()
    try:
        loaded.load_state_dict(generator.state_dict())
    except RuntimeError as error:
        raise AssertionError("new_generator() of a restored teacher must take a student's weights") from error
    same = type(loaded) is type(generator) and torch.equal(_states(loaded, batch), states)
    require(
        same,
        "loading loses what new_generator() makes: that of a restored teacher generates something else, "
        "although it has the same weights; config() must hold all that new_generator() depends on",
    )


def _check_one_step(generator: DiffusionGenerator, batch: Batch) -> None:
    space = generator.space
    e = generator.one_step(batch, _noise(batch).normal("z", space.state_shape))
    pinned = space.pin(e, space.embed_condition(batch), batch)
    require(torch.equal(e, pinned), "one_step() must return the condition pinned")
    parameters = [p for p in generator.network.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(e.square().sum(), parameters, allow_unused=True)
    learns = any(slope is not None and bool(slope.any()) for slope in slopes)
    require(learns, "no gradient of one_step() reaches θ's parameters")
    # Training calls the network at `input_of`; inference goes by `roll_out`.
    noise, given = _noise(batch), space.embed_condition(batch)
    for k, steps in CALLS:
        trained = space.pin(
            generator.call(generator.input_of(batch, given, noise, k, steps)).x0, given, batch
        )
        rolled = generator.roll_out(batch, noise, k, steps)
        require(
            torch.equal(trained, rolled) and (steps > 1 or torch.equal(trained, e)),
            f"a student must be trained as it samples, which call {k} of {steps} is not: change its `start` "
            "or its network, not one_step() or roll_out()",
        )
    require_refusal(lambda: generator.generate(batch, noise, steps=0), "a student at 0 steps")


@torch.no_grad()
def _check_graph(generator: DiffusionGenerator, batch: Batch) -> None:
    """Require that an exported graph, if there can be one, names the tokens that are generated."""
    noise = _noise(batch)
    declared = Noise((), made={draw: noise.get(draw) for draw in generator.draws})
    try:
        named_BL = generator.one_step_tokens(batch, declared)
    except InputError:
        return
    except PluginError as error:
        raise AssertionError(f"one_step_tokens(): {error}") from error
    same = torch.equal(named_BL, generator.generate(batch, noise).tokens_BL)
    require(same, "one_step_tokens() names other tokens than generate() in one step")


def _states(generator: DiffusionGenerator, batch: Batch) -> Tensor:
    return cast(Tensor, generator.generate(batch, _noise(batch), steps=2).state)


def _check_estimator(teacher: Teacher, batch: Batch) -> None:
    estimator = teacher.new_score_estimator().eval()
    _require_own(estimator, teacher, "new_score_estimator()")
    e, t_B = teacher.space.embed(batch), teacher.space.schedule.tensor(_t_init(teacher), len(batch))
    plain, full = estimator.estimate(e, t_B, batch), estimator.estimate(e, t_B, batch, features=True)
    require(plain.x0.shape == e.shape, f"estimate().x0 must have e_t's shape, not {tuple(plain.x0.shape)}")
    require(torch.equal(plain.x0, full.x0), "estimate().x0 must be the same with and without features")
    fits = full.features_BNH is not None and full.feature_mask_BN is not None
    require(fits, "estimate(features=True) must give features, and their mask: a discriminator reads them")


def _check_training(teacher: Teacher, batch: Batch) -> None:
    try:
        answer = teacher.training_loss(batch, _noise(batch))
    except InputError:
        return  # it can be loaded, not trained
    with claimed():
        check_training_loss(teacher, answer, len(batch))
    size, loss_B = len(batch), answer.loss_B
    if answer.batch_wide:
        require(answer.weight_B is None, "training_loss(): a loss that is batch_wide has no weight_B")
    if answer.weight_B is not None:
        counts = not answer.weight_B.requires_grad and bool((answer.weight_B >= 0).all())
        require(counts, "training_loss(): weight_B must be detached and not negative")
    require(bool(loss_B.isfinite().all()), "training_loss() must be finite")
    attached = [name for name, value_B in answer.logged.items() if value_B.requires_grad]
    require(not attached, f"training_loss(): logged values must be detached; these are not: {attached}")
    again = teacher.training_loss(batch, _noise(batch)).loss_B
    require(torch.equal(loss_B, again), "training_loss() must draw from its noise only: it gave two values")
    parameters = [p for p in teacher.network.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss_B.sum(), parameters, allow_unused=True)
    learns = any(slope is not None and bool(slope.any()) for slope in slopes)
    require(learns, "no gradient of training_loss() reaches the network's parameters")
    for row in range(0 if answer.batch_wide else size):
        rows = batch[row : row + 1]
        alone = teacher.training_loss(rows, _noise(rows)).loss_B[0]
        require(alike(alone, loss_B[row]), "training_loss() of a sample depends on its batch mates")
    _check_optimizers(teacher, batch)
    _check_training_state(teacher, batch)


def _check_optimizers(teacher: Teacher, batch: Batch) -> None:
    """Require that pretraining can own and checkpoint the optimizers that a teacher declares."""
    config = PretrainOptimizer(lr=1e-3)

    def trained(one: Teacher) -> Optimizer:
        return Optimizer(one, config, one.new_optimizers(**adam_settings(config)))

    def step(one: Teacher, optimizer: Optimizer) -> dict[str, Tensor]:
        torch.autograd.backward(one.training_loss(batch, _noise(batch)).loss_B.sum())
        optimizer.step()
        return optimizer.state()

    first = copy.deepcopy(teacher)
    try:
        optimizer = trained(first)
        state = step(first, optimizer)
    except PluginError as error:
        raise AssertionError(str(error)) from error
    second = copy.deepcopy(first)
    resumed = trained(second)
    resumed.load(state)
    after, again = step(first, optimizer), step(second, resumed)
    same = after.keys() == again.keys() and all(torch.equal(after[name], again[name]) for name in after)
    require(same, "new_optimizers(): the state of an optimizer does not survive a checkpoint")


def _check_training_state(teacher: Teacher, batch: Batch, rounds: int = 16) -> None:
    for seed in range(rounds):
        teacher.observe(teacher.training_loss(batch, _noise(batch, seed)).observation)
    state: Mapping[str, Any] = teacher.training_state()
    wrong = [name for name, value in state.items() if not isinstance(value, Tensor)]
    require(not wrong, f"training_state() must hold tensors; these are none: {wrong}")
    other = _restored(teacher)
    other.load_training_state({name: value.clone() for name, value in state.items()})

    def ahead(one: Teacher) -> TrainingLoss:
        return one.training_loss(batch, _noise(batch, rounds))

    lost = "what observe() has learned is lost from training_state() to load_training_state()"
    require(torch.equal(ahead(teacher).loss_B, ahead(other).loss_B), lost)
    kept = other.training_state()
    require(all(torch.equal(value, kept[name]) for name, value in state.items()), lost)


def _require_own(network: nn.Module, teacher: Teacher, maker: str) -> None:
    """Require that a network shares no weight with φ, but for those of the space."""
    of_space = {p.data_ptr() for p in teacher.space.parameters()}
    of_teacher = {p.data_ptr() for p in teacher.network.parameters()} - of_space
    shared = [name for name, p in network.named_parameters() if p.data_ptr() in of_teacher]
    require(not shared, f"{maker} must copy φ, but shares weights with it: {', '.join(shared)}")


def _t_init(teacher: Teacher) -> float:
    return teacher.space.schedule.time_of_quantile(0.75)


def _noise(batch: Batch, seed: int = 0) -> Noise:
    return Noise([(seed, id) for id in batch.ids])
