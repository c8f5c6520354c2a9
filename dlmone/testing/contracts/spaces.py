"""The Space contract: text to states and back, given and generated entries kept apart."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dlmone.core import Batch, Example, InputError, NoiseSchedule, Space

from ..claims import require


def check_space(space: Space, examples: Sequence[Example], *, invertible: bool = True) -> None:
    """Check a space against its contract; see `check_teacher` for the arguments.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    batch = space.collate(examples)
    _check_batch(space, batch, examples)
    _check_sources_alone(space, examples)
    _check_states(space, batch)
    _check_conditions(space, batch)
    _check_decode(space, batch, invertible)
    _check_text(space, batch, examples)
    _check_schedule(space.schedule)


def _check_batch(space: Space, batch: Batch, examples: Sequence[Example]) -> None:
    tokens_BL, target_BL = batch.tokens_BL, batch.target_BL
    require(batch.ids == tuple(example.id for example in examples), "collate() must keep ids and order")
    require(tokens_BL.dtype == torch.int64, f"tokens_BL must be int64, not {tokens_BL.dtype}")
    require(target_BL.dtype == torch.bool, f"target_BL must be bool, not {target_BL.dtype}")
    require(target_BL.shape == tokens_BL.shape, "target_BL must have the shape of tokens_BL")
    require(tokens_BL.device.type == target_BL.device.type == "cpu", "collate() must stay on the CPU")
    require(bool(target_BL.any(1).all()), "collate() left a row without a position to generate")
    given = bool((~target_BL).any(1).all())
    require(given or not space.conditional, "the space is conditional, but rows have no given position")
    for row, example in enumerate(examples):
        alone = space.collate([example])
        same = _equal(alone.tokens_BL[0], tokens_BL[row]) and _equal(alone.target_BL[0], target_BL[row])
        require(same, f"collate() of {example.id!r} depends on its batch mates")


def _check_sources_alone(space: Space, examples: Sequence[Example]) -> None:
    """Check that rows to generate for are the same whatever their references, also if these are very long."""
    batch = space.collate_conditions(examples)
    require(batch.examples == tuple(examples), "collate_conditions() must keep the examples")
    for target in ("", " ".join([example.target for example in examples] * 100)):
        other = space.collate_conditions([replace(example, target=target) for example in examples])
        same = _equal(other.tokens_BL, batch.tokens_BL) and _equal(other.target_BL, batch.target_BL)
        require(same, "collate_conditions() depends on the references")


def _check_states(space: Space, batch: Batch) -> None:
    e, shape = space.embed(batch), (len(batch), *space.state_shape)
    require(tuple(e.shape) == shape, f"embed() must return {shape}, not {tuple(e.shape)}")
    require(e.dtype == torch.float32, f"embed() must return float32, not {e.dtype}")
    require(_equal(e, space.embed(batch)), "embed() must return the same states every time")
    require(_equal(space.round(e), e), "round() must leave the states of tokens as they are")
    mask = space.generated(batch)
    require(mask.dtype == torch.bool, f"generated() must be bool, not {mask.dtype}")
    try:
        mask = mask.expand(shape)
    except RuntimeError:
        require(False, f"generated() must be broadcastable to {shape}, which {tuple(mask.shape)} is not")
    require(bool(mask.flatten(1).any(1).all()), "generated() left a row without an entry to generate")
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    pinned = space.pin(noise, e, batch)
    require(_equal(pinned, torch.where(mask, noise, e)), "pin() must overwrite just what generated() leaves")


def _check_conditions(space: Space, batch: Batch) -> None:
    seen, other = encoded(space, batch), encoded(space, other_reference(batch))
    same = seen.encoded.keys() == other.encoded.keys()
    same = same and all(_equal(states, other.encoded[name]) for name, states in seen.encoded.items())
    require(same, "encode() depends on the reference, which it must not read")
    zeros = torch.zeros(len(batch), *space.state_shape)
    given = [space.pin(zeros, space.embed_condition(one), one) for one in (seen, other)]
    require(_equal(*given), "embed_condition() depends on the reference at given entries: hide it first")
    try:
        null = space.encoded_null(seen)
    except InputError:
        return
    same = _equal(null.target_BL, batch.target_BL) and null.ids == batch.ids
    require(same, "null_condition() must keep ids and target_BL")
    require(
        _equal(null.tokens_BL[batch.target_BL], batch.tokens_BL[batch.target_BL]),
        "null_condition() must keep the generated tokens",
    )


@torch.no_grad()
def encoded(space: Space, batch: Batch) -> Batch:
    """Return the batch encoded, without gradient: but in `training_loss` a space is frozen."""
    return space.encode(batch)


def other_reference(batch: Batch) -> Batch:
    """Return the batch, not encoded, with other tokens at generated positions."""
    tokens_BL = torch.where(batch.target_BL, batch.tokens_BL.roll(1, dims=1), batch.tokens_BL)
    return Batch(batch.ids, tokens_BL, batch.target_BL)


def _check_decode(space: Space, batch: Batch, invertible: bool) -> None:
    e, target_BL = space.embed(batch), batch.target_BL
    try:
        tokens_BL = space.decode(torch.zeros_like(e), batch)
    except InputError:
        return  # the network reads the tokens (`check_denoiser`)
    require(tokens_BL.shape == batch.tokens_BL.shape, "decode() must return as many tokens as the batch has")
    require(tokens_BL.dtype == torch.int64, f"decode() must return int64, not {tokens_BL.dtype}")
    kept = _equal(tokens_BL[~target_BL], batch.tokens_BL[~target_BL])
    require(kept, "decode() must keep the batch's tokens at given positions")
    if invertible:
        wrong = int((space.decode(e, batch) != batch.tokens_BL).sum())
        require(wrong == 0, f"decode(embed(batch)) must be the batch's tokens; {wrong} differ")


def _check_text(space: Space, batch: Batch, examples: Sequence[Example]) -> None:
    texts, sources = space.text(batch.tokens_BL, batch), space.source_text(batch)
    require(len(texts) == len(sources) == len(batch), "text() and source_text() must give one string a row")
    for example, text, source in zip(examples, texts, sources, strict=True):
        for call, found, wanted in (("text", text, example.target), ("source_text", source, example.source)):
            sentence = f"{call}() of {example.id!r} must be {wanted!r} without any marker, not {found!r}"
            require(_letters(found) == _letters(wanted), sentence)


def _check_schedule(schedule: NoiseSchedule) -> None:
    times = [schedule.time_of_quantile(quantile / 10) for quantile in range(11)]
    t_T = torch.cat([schedule.tensor(time, 1) for time in times])
    for name, values_T in (("alpha", schedule.alpha(t_T)), ("sigma", schedule.sigma(t_T))):
        fits = values_T.dtype == torch.float64 and values_T.shape == t_T.shape
        require(fits, f"schedule.{name}() must return float64 of its argument's shape")
        require(bool((values_T.isfinite() & (values_T >= 0)).all()), f"schedule.{name}() must be ≥ 0, finite")
    ratios_T = schedule.ratio(t_T)
    rising = bool((ratios_T.diff() >= 0).all() and ratios_T[0] < ratios_T[-1])
    require(rising, "σ/α must grow with time over the trained range of the schedule")
    network_dtype = schedule.network_time(t_T).dtype
    require(network_dtype == torch.float32, f"network_time() must be float32, not {network_dtype}")


def _equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second)


def _letters(text: str) -> str:
    """Return a text without case and white space, which a tokeniser may change."""
    return "".join(text.lower().split())
