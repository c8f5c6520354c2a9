"""The Denoiser contract: ê0 = f(e_t, t, c), differentiable, row by row, features from the same pass."""

import inspect

import torch
from torch import Tensor

from dlmone.core import Batch, Denoiser, Noise, Space

from ..claims import alike, require
from .spaces import encoded, other_reference


def check_denoiser(network: Denoiser, space: Space, batch: Batch, feature_width: int) -> None:
    """Check a denoiser against its contract; ``network`` is in evaluation mode.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    t_B, e_t = _noisy(space, batch)
    kept = e_t.clone()
    answer = network.denoise(e_t, t_B, batch)
    x0 = answer.x0
    require(torch.equal(e_t, kept), "denoise() must not change e_t in place")
    require(x0.shape == e_t.shape, f"x0 must have e_t's shape, {tuple(e_t.shape)}, not {tuple(x0.shape)}")
    require(bool(x0.isfinite().all()), "x0 must be finite")
    with torch.autocast("cpu", torch.bfloat16):
        dtypes = {x0.dtype, network.denoise(e_t, t_B, batch).x0.dtype}
    require(dtypes <= {torch.float32, torch.float64}, "x0 must be float32, under bfloat16 autocast too")
    again = network.denoise(e_t, t_B, batch).x0
    require(torch.equal(x0, again), "in evaluation mode denoise() must return the same every time")
    for row in range(len(batch)):
        rows = slice(row, row + 1)
        alone = network.denoise(e_t[rows], t_B[rows], batch[rows]).x0
        require(alike(alone, x0[rows]), "x0 of a sample depends on its batch mates")
    hidden = encoded(space, other_reference(batch))
    blind = network.denoise(e_t, t_B, hidden).x0
    require(torch.equal(blind, x0), "x0 depends on the batch's generated tokens, the reference: it leaks")
    _check_keywords(network, space, batch)
    for name in network.float32_modules:
        known = name in dict(network.named_modules())
        require(known, f"float32_modules names {name!r}, which is no submodule of the network")
    _check_features(network, space, batch, feature_width, x0)
    _check_decode(network, space, batch)
    _check_gradients(network, space, batch)


def _check_keywords(network: Denoiser, space: Space, batch: Batch) -> None:
    t_B, e_t = _noisy(space, batch)
    x0 = network.denoise(e_t, t_B, batch).x0
    if network.self_conditioning:
        zeros = network.denoise(e_t, t_B, batch, previous=torch.zeros_like(e_t)).x0
        require(torch.equal(zeros, x0), "previous=None must stand for zeros")
        moved = network.denoise(e_t, t_B, batch, previous=torch.ones_like(e_t)).x0
        require(not torch.equal(moved, x0), "self_conditioning is set, but `previous` changes nothing")
    if network.takes_guidance:
        plain = network.denoise(e_t, t_B, batch, guidance=1.0).x0
        require(torch.equal(plain, x0), "guidance=1.0 must be the plain prediction")
        guided = network.denoise(e_t, t_B, batch, guidance=3.0).x0
        require(not torch.equal(guided, x0), "takes_guidance is set, but `guidance` changes nothing")


def _check_features(network: Denoiser, space: Space, batch: Batch, width: int, x0: Tensor) -> None:
    t_B, e_t = _noisy(space, batch)
    answer = network.denoise(e_t, t_B, batch, features=True)
    features_BNH, mask_BN = answer.features_BNH, answer.feature_mask_BN
    require(
        features_BNH is not None and mask_BN is not None, "features were asked for: give them, and their mask"
    )
    assert features_BNH is not None
    assert mask_BN is not None
    require(torch.equal(answer.x0, x0), "x0 must be the same with and without features")
    found = tuple(features_BNH.shape)
    fits = len(found) == 3 and found[0] == len(batch) and found[2] == width
    require(fits, f"features must be [B, N, feature_width], ({len(batch)}, N, {width}), not {found}")
    require(mask_BN.dtype == torch.bool, f"feature_mask_BN must be bool, not {mask_BN.dtype}")
    require(
        tuple(mask_BN.shape) == found[:2], f"feature_mask_BN must be {found[:2]}, not {tuple(mask_BN.shape)}"
    )
    require(bool(mask_BN.any(1).all()), "feature_mask_BN leaves a sample without a generated feature")
    if "layers" in inspect.signature(type(network).denoise).parameters:
        answer = network.denoise(e_t, t_B, batch, layers=(0,))
        first = answer.layers.get(0)
        fits = first is not None and tuple(first.shape) == found and answer.feature_mask_BN is not None
        require(
            fits, "the first layer's states were asked for: give them as `layers`, with the features' shape"
        )
        require(torch.equal(answer.x0, x0), "x0 must be the same with and without a layer's states")


def _check_decode(network: Denoiser, space: Space, batch: Batch) -> None:
    state, given_BL = space.embed(batch), ~batch.target_BL
    tokens_BL, calls = network.decode(state, batch, space)
    fits = tokens_BL.shape == batch.tokens_BL.shape and tokens_BL.dtype == torch.int64
    require(fits, "decode() must return as many tokens as the batch has, in int64")
    require(isinstance(calls, int) and calls >= 0, f"decode() must report its network calls, not {calls!r}")
    kept = torch.equal(tokens_BL[given_BL], batch.tokens_BL[given_BL])
    require(kept, "decode() must keep the batch's tokens at given positions")
    for row in range(len(batch)):
        rows = slice(row, row + 1)
        alone_BL, _ = network.decode(state[rows], batch[rows], space)
        require(torch.equal(alone_BL[0], tokens_BL[row]), "tokens of a sample depend on its batch mates")


def _check_gradients(network: Denoiser, space: Space, batch: Batch) -> None:
    t_B, e_t = _noisy(space, batch)
    answer = network.denoise(e_t.requires_grad_(), t_B, batch, features=True)
    assert answer.features_BNH is not None
    for name, output in (("x0", answer.x0), ("features", answer.features_BNH)):
        slope = None
        if output.requires_grad:
            (slope,) = torch.autograd.grad(output.sum(), e_t, retain_graph=True, allow_unused=True)
        require(slope is not None, f"{name} must be differentiable in e_t: SiD's gradient runs through it")
    parameters = [p for p in network.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(answer.x0.square().sum(), parameters, allow_unused=True)
    learns = any(slope is not None and bool(slope.any()) for slope in slopes)
    require(learns, "no gradient of x0 reaches the network's parameters")


def _noisy(space: Space, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return another time for each sample, and pinned noisy states at these times."""
    schedule, size = space.schedule, len(batch)
    times = [schedule.time_of_quantile((row + 0.5) / size) for row in range(size)]
    t_B = torch.cat([schedule.tensor(time, 1) for time in times])
    e, given = space.embed(batch).detach(), space.embed_condition(batch).detach()
    noise = Noise([("denoiser", id) for id in batch.ids]).normal("epsilon", space.state_shape)
    return t_B, space.pin(schedule.diffuse(e, t_B, noise), given, batch)
