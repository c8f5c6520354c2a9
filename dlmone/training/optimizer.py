"""Optimizers, moving averages, and their state as flat named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dlmone.registry.schema import Ema as EmaConfig
from dlmone.registry.schema import Optimizer as OptimizerConfig
from dlmone.registry.schema import RateSchedule


class Optimizer:
    """AdamW over one module, with SiD's handling of non-finite gradients.

    Args:
        module: its parameters that require grad are updated.
        config: learning rate, betas, clipping.
    """

    def __init__(self, module: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        self.named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.adam = torch.optim.AdamW(
            self.named.values(),
            lr=config.lr,
            betas=(float(config.beta1), float(config.beta2)),
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self, lr: float | None = None) -> bool:
        """Make the gradients finite (SiD: nan → 0, ±inf → ±1e5), clip them, update, and clear them.

        Returns:
            Whether every gradient was finite before that.
        """
        parameters = list(self.named.values())
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        finite = bool(torch.stack(torch._foreach_norm(gradients)).isfinite().all())
        if not finite:
            for gradient in gradients:
                gradient.nan_to_num_(nan=0.0, posinf=1e5, neginf=-1e5)
        if self.config.clip_value:
            nn.utils.clip_grad_value_(parameters, self.config.clip_value)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)
        if lr is not None:
            self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return finite

    def state(self) -> dict[str, Tensor]:
        """Return the moments and step counts, named ``PARAMETER.MOMENT``; empty before the first step."""
        return {
            f"{name}.{key}": value
            for name, parameter in self.named.items()
            for key, value in self.adam.state.get(parameter, {}).items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        moments: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, moment = key.rsplit(".", 1)
            moments.setdefault(name, {})[moment] = value
        for name, values in moments.items():
            parameter = self.named[name]
            self.adam.state[parameter] = {
                key: value.to(parameter.device, copy=True) for key, value in values.items()
            }


def learning_rate(lr: float, warmup: int, schedule: RateSchedule, update: int, updates: int) -> float:
    """Return the learning rate of an update: ``lr`` times a linear warm-up times a linear decay to zero.

    Args:
        lr: the peak learning rate.
        warmup: number of updates of the linear warm-up.
        schedule: ``linear`` decays from the first update; ``constant`` does not decay.
        update: index of the update, counted per network from 0.
        updates: total updates of the network; the decay reaches zero there.
    """
    warm = min(1.0, (update + 1) / warmup) if warmup else 1.0
    left = 1 - update / updates if schedule == "linear" else 1.0
    return lr * warm * left


def ema_decay(config: EmaConfig, batch: int, updates: int) -> float:
    """Return SiD's EMA decay, 0.5^(batch/half-life). Early on, the half-life is a share of the samples seen.

    Args:
        config: the half-life in samples, and that share.
        batch: samples per update.
        updates: number of θ's updates, including this one.
    """
    half_life = config.half_life
    if config.ramp is not None:
        half_life = min(half_life, config.ramp * batch * updates)
    decay: float = 0.5 ** (batch / max(half_life, 1e-8))
    return decay


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Set average ← decay·average + (1 − decay)·module over all parameters; copy the buffers.

    Buffers hold what a teacher learned outside its parameters (`Teacher.observe`).
    """
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1 - decay)
    for kept, learned in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(learned)
