"""What a teacher's plugin answers, looked at once before anything is trained.

The engine builds on each of these; a wrong one would show far from where it was made, or after hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone.core import (
    Batch,
    Denoised,
    Denoiser,
    Example,
    Noise,
    NoiseSchedule,
    PluginError,
    Space,
    Teacher,
    TrainingLoss,
)
from dlmone.core.contract import is_named, require

#: The sum that a mean over tokens is divided by; it is not logged.
WEIGHT = "/weight"
#: Names that pretraining keeps values under itself.
RESERVED = {"loss", "lr", "non_finite", "seconds_per_step", WEIGHT}
#: Attributes of a teacher and of its space, which a contract names and no base class sets.
PARTS: Mapping[str, type] = {
    "space": Space,
    "network": Denoiser,
    "feature_width": int,
    "space.schedule": NoiseSchedule,
    "space.state_shape": tuple,
}


def check_parts(teacher: object, family: type[Teacher]) -> None:
    """Check that what a family built is a teacher with all its parts.

    Raises:
        PluginError: it lacks one.
    """
    require(isinstance(teacher, Teacher), family, "build", "a Teacher", teacher)
    for name, kind in PARTS.items():
        part: object = teacher
        for step in name.split("."):
            part = getattr(part, step, None)
        article = "an" if kind.__name__[0] in "aeiou" else "a"
        require(
            isinstance(part, kind),
            family,
            "build",
            f"a Teacher whose {name} is {article} {kind.__name__}",
            part,
        )


def check_answers(teacher: Teacher, examples: Sequence[Example], device: torch.device) -> None:
    """Let a teacher on a device tokenise, embed, denoise and write a few examples.

    Raises:
        InputError: an example does not fit.
        PluginError: an answer breaks the contract; the sentence names the method and what it must return.
    """
    space, network = teacher.space, teacher.network
    batch = space.collate(examples)
    require(isinstance(batch, Batch), space, "collate", "a Batch", batch)
    rows = batch.tokens_BL.dim() == 2 and len(batch.tokens_BL) == len(examples)
    require(rows, space, "collate", f"a Batch of {len(examples)} rows of tokens", batch.tokens_BL)
    marked = batch.target_BL.dtype == torch.bool and batch.target_BL.shape == batch.tokens_BL.shape
    require(
        marked, space, "collate", "a Batch whose target_BL is bool, as tokens_BL in shape", batch.target_BL
    )
    for name in ("text", "source_text", "reference_text"):
        texts = space.text(batch.tokens_BL, batch) if name == "text" else getattr(space, name)(batch)
        listed = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        wanted = f"a list of {len(batch)} strings"
        require(listed and len(texts) == len(batch), space, name, wanted, len(texts) if listed else texts)

    with torch.no_grad():
        batch = space.encode(batch.to(device))
        require(isinstance(batch, Batch), space, "encode", "a Batch", batch)
        e = space.embed(batch)
        states = f"float32 states of shape {(len(batch), *space.state_shape)}"
        fits = _has_shape(e, (len(batch), *space.state_shape)) and e.dtype == torch.float32
        require(fits, space, "embed", states, e)
        generated = space.generated(batch)
        fits = isinstance(generated, Tensor) and generated.dtype == torch.bool and _spreads(generated, e)
        require(fits, space, "generated", f"bool that is broadcastable to {tuple(e.shape)}", generated)
        t_B = space.schedule.tensor(space.schedule.time_of_quantile(0.5), len(batch), device)
        noise = Noise([("answers", n) for n in range(len(batch))])
        e_t = space.schedule.diffuse(e, t_B, noise.normal("epsilon", space.state_shape).to(device))
        answer = network.denoise(space.pin(e_t, e, batch), t_B, batch)
    require(isinstance(answer, Denoised), network, "denoise", "a Denoised", answer)
    require(
        _has_shape(answer.x0, e.shape),
        network,
        "denoise",
        f"a Denoised whose x0 is of shape {tuple(e.shape)}",
        answer.x0,
    )


def check_training_loss(teacher: Teacher, answer: object, rows: int) -> None:
    """Check what `Teacher.training_loss` returned for so many rows.

    Raises:
        PluginError: it breaks its contract.
    """
    require(isinstance(answer, TrainingLoss), teacher, "training_loss", "a TrainingLoss", answer)
    assert isinstance(answer, TrainingLoss)
    shape = () if answer.batch_wide else (rows,)
    each = "one scalar as batch_wide loss_B" if answer.batch_wide else f"one value a row, {rows}, as loss_B"
    require(_has_shape(answer.loss_B, shape), teacher, "training_loss", each, answer.loss_B)
    require(
        answer.loss_B.requires_grad, teacher, "training_loss", "a loss_B that has a gradient", answer.loss_B
    )
    weight = answer.weight_B
    fits = weight is None or _has_shape(weight, (rows,))
    require(fits, teacher, "training_loss", f"one value a row, {rows}, as weight_B", weight)
    for name, named in (("logged", answer.logged), ("observation", answer.observation)):
        require(is_named(named, Tensor), teacher, "training_loss", f"named tensors as {name}", named)
        for key, value_B in named.items():
            what = f"one value a row, {rows}, as {name}[{key!r}]"
            require(_has_shape(value_B, (rows,)), teacher, "training_loss", what, value_B)
    if taken := RESERVED & set(answer.logged):
        owner = type(teacher).__qualname__
        raise PluginError(f"{owner}.training_loss() logs {min(taken)!r}, a name that pretraining uses itself")


def check_restores(teacher: Teacher) -> None:
    """Check that what a folder would hold of a teacher makes a teacher that takes its weights.

    Raises:
        PluginError: configuration, files or tensors would be lost or don't fit.
    """
    config: Any = teacher.config()
    require(isinstance(config, Mapping), teacher, "config", "a mapping", config)
    try:
        config = json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"{type(teacher).__qualname__}.config() must hold JSON values only: {error}"
        ) from error
    assets = teacher.assets()
    require(is_named(assets, bytes), teacher, "assets", "named bytes", assets)
    with torch.random.fork_rng(devices=[]):
        try:
            again = type(teacher).restore(config, assets)
        except Exception as error:
            what = f"{type(teacher).__qualname__}.restore() cannot rebuild the teacher from its own config()"
            raise PluginError(f"{what} and assets(): {error}") from error
    require(isinstance(again, Teacher), type(teacher), "restore", "a Teacher", again)
    shapes, found = (
        {name: value.shape for name, value in one.state_dict().items()} for one in (teacher, again)
    )
    if wrong := [name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)]:
        name = min(wrong)
        own, other = (str(tuple(one[name])) if name in one else "none" for one in (shapes, found))
        raise PluginError(
            f"{type(teacher).__qualname__}.restore() makes another teacher than the one whose config() and "
            f"assets() it is given: {name} is {other} there, and {own} here"
        )


def _spreads(mask: Tensor, state: Tensor) -> bool:
    sizes = zip(reversed(mask.shape), reversed(state.shape), strict=False)
    return mask.dim() <= state.dim() and all(one in (1, size) for one, size in sizes)


def _has_shape(value: object, shape: Sequence[int]) -> bool:
    return isinstance(value, Tensor) and tuple(value.shape) == tuple(shape)
