"""What a network predicts, turned into x0, for any α and σ (in float64, then cast back).

With e_t = α·e + σ·ε the four predictions in use are linear in (e, ε):
``x0`` = e, ``epsilon`` = ε, ``v`` = α·ε − σ·e, ``flow`` = ε − e.
"""

from typing import Literal

from torch import Tensor

from .schedule import expand

Prediction = Literal["x0", "epsilon", "v", "flow"]


def to_x0(kind: Prediction, output: Tensor, e_t: Tensor, alpha_B: Tensor, sigma_B: Tensor) -> Tensor:
    """Return the x0 prediction ê that a network's ``output`` of the given kind stands for.

    Shapes [B, …]; ``alpha_B`` and ``sigma_B`` [B]; result in ``output``'s dtype. ``epsilon`` divides by
    α and is ill-conditioned where α → 0; the other kinds hold at every time.
    """
    if kind == "x0":
        return output
    out, noisy = output.double(), e_t.double()
    alpha, sigma = expand(alpha_B.double(), out), expand(sigma_B.double(), out)
    if kind == "epsilon":
        x0 = (noisy - sigma * out) / alpha
    elif kind == "v":
        x0 = (alpha * noisy - sigma * out) / (alpha**2 + sigma**2)
    else:
        x0 = (noisy - sigma * out) / (alpha + sigma)
    return x0.to(output.dtype)
