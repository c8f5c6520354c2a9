"""The paper's losses as pure functions: Eq. 3–6 and the weightings they leave open.

Every loss is a mean over the *generated* entries of a sample ([PAD] included, given entries excluded)
and is returned one value a sample, [B]: training averages over the global batch, and can drop a sample
whose loss is not finite. Notation: e the generator's output, f_φ and f_ψ the x0 predictions of teacher
and score estimator at the same e_t, d = f_φ − f_ψ.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor

Weighting = Literal["sid", "one", "score", "snr"]
DsmWeighting = Literal["one", "snr", "min_snr"]

#: Floor of mean|e − f_φ| in the ``sid`` weighting (SiD-LSG).
WEIGHT_FLOOR = 1e-5
#: Logits are clamped to ±LOGIT_LIMIT before the cross-entropy (SiD-DiT).
LOGIT_LIMIT = 10.0
#: Upper limit of α²/σ² in the ``min_snr`` weighting (Hang et al. 2023).
SNR_LIMIT = 5.0


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the entries of each sample where ``mask`` (broadcastable to ``values``) is True: [B]."""
    mask = mask[(None,) * (values.dim() - mask.dim())]
    total = reduce(torch.where(mask, values, values.new_zeros(())), "b ... -> b", "sum")
    # Counted before it is spread over the values: a mask of tokens has one entry for a state's whole width.
    spread = math.prod(values.shape[1:]) // math.prod(mask.shape[1:])
    return total / (reduce(mask, "b ... -> b", "sum") * spread).clamp(min=1)


def score_weight(
    weighting: Weighting, e: Tensor, f_phi: Tensor, mask: Tensor, alpha_B: Tensor, sigma_B: Tensor
) -> Tensor:
    """The prefactor ω_t·α_t²/σ_t⁴ of Eq. 2 and 4, [B], without gradient.

    The paper never defines ω_t. ``sid`` is SiD's own, 1/mean|e − f_φ|, that is ω_t = (σ⁴/α²)/mean|e − f_φ|;
    ``one`` drops the prefactor; ``score`` is ω_t = 1; ``snr`` is ω_t = σ_t², which leaves α²/σ².
    """
    if weighting == "sid":
        return 1 / masked_mean((e - f_phi).detach().abs(), mask).clamp(min=WEIGHT_FLOOR)
    if weighting == "one":
        return alpha_B.new_ones(alpha_B.shape).to(e.dtype)
    power = 4 if weighting == "score" else 2
    return (alpha_B**2 / sigma_B**power).to(e.dtype)


def sid_loss(
    e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, mu: float | Tensor, weight_B: Tensor
) -> Tensor:
    """SiD's generator loss, Eq. 4: w·[(1 − μ)·‖d‖² + dᵀ(f_ψ − e)], averaged over generated entries, [B].

    Gradient flows through ``e`` and through whatever path ``f_phi`` and ``f_psi`` have to it; the caller
    keeps the networks' parameters out of it.
    """
    d = f_phi - f_psi
    return weight_B * masked_mean((1 - mu) * d**2 + d * (f_psi - e), mask)


def estimator_lag(e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """‖d‖² and dᵀ(e − f_ψ), averages over generated entries, [B] each: the ratio of their means is ψ's lag.

    The best possible ψ is f* = E[e | e_t]. Because d is a function of e_t, E[dᵀ(e − f_ψ)] = E[dᵀ(f* − f_ψ)]:
    the part of the gap d = f_φ − f_ψ that is ψ's error and not the generator's. The lag is 0 for a ψ that
    has caught up with θ, and 1 where the whole gap is ψ's. It is negative where ψ stands between φ and f*:
    at f* − f_ψ = −k·d the lag is −k, and d is 1/(1 + k) of the true gap f_φ − f*. So it is after ψ ← φ.
    (Weighted by a w that depends on e, as ``sid``'s does, this holds nearly.) SiD's loss is
    w·(1 − μ − lag)·‖d‖² in the mean.
    """
    d = f_phi - f_psi
    return masked_mean(d**2, mask), masked_mean(d * (e - f_psi), mask)


def diff_instruct_loss(e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
    """Diff-Instruct's generator loss w·sg(f_ψ − f_φ)ᵀe, averaged over generated entries, [B].

    The gradient of the integral KL divergence: it reaches ``e`` directly, through neither network. It is
    SiD at μ = 1 with the gradients through both networks' inputs dropped.
    """
    return weight_B * masked_mean((f_psi - f_phi).detach() * e, mask)


def dsm_weight(weighting: DsmWeighting, alpha_B: Tensor, sigma_B: Tensor) -> Tensor:
    """γ_t of Eq. 3, [B]: ``one`` (x0-MSE, DiffuSeq's own loss), ``snr`` (= ε-MSE), ``min_snr`` (clipped)."""
    if weighting == "one":
        return alpha_B.new_ones(alpha_B.shape)
    snr_B = (alpha_B / sigma_B) ** 2
    return snr_B if weighting == "snr" else snr_B.clamp(max=SNR_LIMIT)


def dsm_loss(f_psi: Tensor, e: Tensor, mask: Tensor, gamma_B: Tensor) -> Tensor:
    """The estimator's denoising score matching loss, Eq. 3: γ_t·‖f_ψ(e_t) − e‖², a mean, [B]."""
    return gamma_B.to(e.dtype) * masked_mean((f_psi - e) ** 2, mask)


def adversarial_loss(logits_BK: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy of clamped logits with the label ``real``, a mean over the K logits, [B].

    Eq. 5 and 6 print log-likelihoods, which one maximises; this is their negative, which one minimises.
    """
    clamped = logits_BK.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    return reduce(F.softplus(-clamped if real else clamped), "b k -> b", "mean")
