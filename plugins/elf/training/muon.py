"""ELF's optimizers, both with Nesterov momentum and bias correction: Muon for matrices, Adam for the rest."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

#: Coefficients of the quintic Newton-Schulz iteration, and how often it is made (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95


class Muon(Optimizer):
    """θ ← θ − lr·√max(1, fan_out/fan_in)·orthogonalised(u), u the corrected Nesterov momentum.

    Args:
        params: matrices that map from the right (`nn.Linear`), or from the left (in, out) where a group says
            ``transposed = True``.
        lr: learning rate.
    """

    def __init__(self, params: Iterable[Any], lr: float) -> None:
        super().__init__(params, {"lr": lr, "transposed": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["momentum"] = torch.zeros_like(parameter)
                state["step"] += 1
                update = nesterov(state["momentum"], parameter.grad, MOMENTUM, int(state["step"]))
                outputs, inputs = reversed(parameter.shape) if group["transposed"] else parameter.shape
                scale = max(1.0, outputs / inputs) ** 0.5
                parameter.add_(orthogonalised(update), alpha=-group["lr"] * scale)


class NesterovAdam(Optimizer):
    """Adam whose first moment looks one update ahead: θ ← θ − lr·û/(√v̂ + ε)."""

    def __init__(
        self, params: Iterable[Any], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["momentum"] = torch.zeros_like(parameter)
                    state["square"] = torch.zeros_like(parameter)
                state["step"] += 1
                step = int(state["step"])
                state["square"].lerp_(parameter.grad.square(), 1 - second)
                scale = (state["square"] / (1 - second**step)).sqrt() + group["eps"]
                update = nesterov(state["momentum"], parameter.grad, first, step)
                parameter.addcdiv_(update, scale, value=-group["lr"])


def nesterov(momentum: Tensor, gradient: Tensor, rate: float, step: int) -> Tensor:
    """Update m ← r·m + (1 − r)·g in place; return r·m/(1 − r^(k+1)) + (1 − r)·g/(1 − r^k), k from 1."""
    momentum.lerp_(gradient, 1 - rate)
    ahead, now = rate / (1 - rate ** (step + 1)), (1 - rate) / (1 - rate**step)
    return ahead * momentum + now * gradient


def orthogonalised(update: Tensor) -> Tensor:
    """Return the matrix with all singular values near 1, by Newton-Schulz in float32."""
    a, b, c = QUINTIC
    x = update.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-8)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    turned: Tensor = x.T if tall else x
    return turned.to(update.dtype)


def optimizers(network: nn.Module, lr: float, betas: tuple[float, float], eps: float) -> list[Optimizer]:
    """Return Muon for the matrices of ELF's network, and Adam for its other parameters."""
    trained = {name: one for name, one in network.named_parameters() if one.requires_grad}
    kernels = [one for name, one in trained.items() if name.endswith("_kernel")]
    linear = [one for name, one in trained.items() if one.dim() == 2 and not name.endswith("_kernel")]
    others = [one for one in trained.values() if one.dim() != 2]
    groups = [{"params": linear}, {"params": kernels, "transposed": True}]
    return [Muon(groups, lr), NesterovAdam(others, lr, betas, eps)]
