"""Optimizers, moving averages, and their state as flat named tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dlmone.core import PluginError
from dlmone.registry.schema import Ema as EmaConfig
from dlmone.registry.schema import Optimizer as OptimizerConfig
from dlmone.registry.schema import RateSchedule
from dlmone.runtime.shards import is_sharded, local, norms, part_like


class Optimizer:
    """AdamW over one module, or optimizers of its own, with SiD's handling of non-finite gradients.

    Args:
        module: its parameters that require grad are updated.
        config: learning rate, AdamW's betas, clipping.
        own: optimizers of some of these parameters (`Teacher.new_optimizers`). AdamW updates the others. The
            learning rates of all keep their proportions while ``step`` changes AdamW's.

    Raises:
        PluginError: a parameter of ``own`` is not one that is trained, or two optimizers have it.
    """

    def __init__(
        self, module: nn.Module, config: OptimizerConfig, own: Sequence[torch.optim.Optimizer] = ()
    ) -> None:
        self.config = config
        self.named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._owner = _owners(own, self.named, type(module).__name__)
        self.optimizers = list(own)
        rest = [parameter for parameter in self.named.values() if parameter not in self._owner]
        if rest or not own:
            # Sharded parameters apart: one call can't update both kinds.
            kinds = [[one for one in rest if is_sharded(one) is kind] for kind in (False, True)]
            groups = [{"params": kind} for kind in kinds if kind or not rest]
            adam = torch.optim.AdamW(groups, **adam_settings(config), fused=True)
            self.optimizers.append(adam)
            self._owner |= dict.fromkeys(rest, adam)
        self._groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        self._proportions = [group["lr"] / config.lr for group in self._groups]
        self._settings = [_settings(group) for group in self._groups]

    def step(self, lr: float | None = None) -> Tensor:
        """Make the gradients finite (SiD: nan → 0, ±inf → ±1e5), clip them, update, and clear them.

        Returns:
            Whether every gradient was finite before that: a bool tensor of one entry on their device.
        """
        parameters = list(self.named.values())
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        finite = norms(gradients).isfinite().all()
        parts = [local(gradient) for gradient in gradients]
        # A GPU replaces nothing sooner than it tells the host that there is nothing to replace.
        if finite.device.type != "cpu" or not finite:
            for part in parts:
                part.nan_to_num_(nan=0.0, posinf=1e5, neginf=-1e5)
        if self.config.clip_value:
            torch._foreach_clamp_min_(parts, -self.config.clip_value)
            torch._foreach_clamp_max_(parts, self.config.clip_value)
        if self.config.clip_norm:
            # `torch.nn.utils.clip_grad_norm_`, by the norm of all processes' parts.
            share = self.config.clip_norm / (torch.linalg.vector_norm(norms(gradients)) + 1e-6)
            torch._foreach_mul_(parts, share.clamp(max=1.0))
        if lr is not None:
            for group, proportion in zip(self._groups, self._proportions, strict=True):
                group["lr"] = lr * proportion
        for optimizer in self.optimizers:
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None
        return finite

    def state(self) -> dict[str, Tensor]:
        """Return the moments and step counts, named ``PARAMETER.MOMENT``; empty before the first step.

        Plain numbers are tensors too, under a name that ends in ``#``.

        Raises:
            PluginError: an optimizer of the module's own keeps state of another kind or place.
        """
        for group, first in zip(self._groups, self._settings, strict=True):
            if changed := [key for key, value in first.items() if group[key] != value]:
                raise PluginError(
                    f"an optimizer changes {', '.join(changed)} of its parameter groups, which a checkpoint "
                    "does not hold; it must keep its state by parameter"
                )
        held: dict[str, Tensor] = {}
        for name, parameter in self.named.items():
            for key, value in self._owner[parameter].state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    held[f"{name}.{key}"] = value
                elif isinstance(value, (int, float)):
                    held[f"{name}.{key}#"] = torch.tensor(value)
                elif value is not None:
                    kind = type(self._owner[parameter]).__name__
                    what = f"{type(value).__name__} as {key!r}"
                    raise PluginError(f"{kind} keeps a {what}, which a checkpoint can't hold; keep tensors")
        return held

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for parameter, optimizer in self._owner.items():
            optimizer.state.pop(parameter, None)
        for place, value in state.items():
            name, key = place.rsplit(".", 1)
            parameter = self.named[name]
            kept = self._owner[parameter].state[parameter]
            if key.endswith("#"):
                kept[key.removesuffix("#")] = value.item()
            else:
                kept[key] = part_like(value, parameter)


def _owners(
    own: Sequence[torch.optim.Optimizer], named: Mapping[str, nn.Parameter], owner: str
) -> dict[nn.Parameter, torch.optim.Optimizer]:
    """Return the optimizer of each parameter that has one of the module's own."""
    names = {parameter: name for name, parameter in named.items()}
    owners: dict[nn.Parameter, torch.optim.Optimizer] = {}
    for optimizer in own:
        for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
            if parameter not in names:
                raise PluginError(
                    f"{owner}.new_optimizers(): {type(optimizer).__name__} has a parameter of shape "
                    f"{tuple(parameter.shape)} that is not among those that {owner} trains"
                )
            if parameter in owners:
                raise PluginError(
                    f"{owner}.new_optimizers(): two optimizers have {names[parameter]}; one updates it"
                )
            owners[parameter] = optimizer
    return owners


def _settings(group: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the numbers of a parameter group but for the learning rate, which training sets."""
    return {key: value for key, value in group.items() if isinstance(value, (int, float)) and key != "lr"}


def adam_settings(config: OptimizerConfig) -> dict[str, Any]:
    """Return AdamW's keywords as a recipe gives them: ``lr``, ``betas``, ``eps``, ``weight_decay``."""
    return {
        "lr": config.lr,
        "betas": (float(config.beta1), float(config.beta2)),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
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


class MovingAverage:
    """The moving average of a module's parameters, with its buffers as they are.

    Buffers hold what a teacher learned outside its parameters (`Teacher.observe`).

    Args:
        average: a copy of the module, which holds the average.
        module: the module that is trained.
    """

    def __init__(self, average: nn.Module, module: nn.Module) -> None:
        self._both = average, module

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Set average ← decay·average + (1 − decay)·module over all parameters; copy the buffers."""
        kept, latest = ([local(one) for one in parameters] for parameters in self._parameters)
        torch._foreach_lerp_(kept, latest, 1 - decay)
        for owners in self._owners:
            buffers = (owner.buffers(recurse=False) for owner in owners)
            for buffer, learned in zip(*buffers, strict=True):
                buffer.copy_(learned)

    # Listed at the first update, as a network gets other parameters where it is sharded.

    @cached_property
    def _parameters(self) -> list[list[nn.Parameter]]:
        return [[*network.parameters()] for network in self._both]

    @cached_property
    def _owners(self) -> list[tuple[nn.Module, nn.Module]]:
        """The modules with buffers, in whose place other tensors may come."""
        average, module = self._both
        both = zip(average.modules(), module.modules(), strict=True)
        return [owners for owners in both if any(owner._buffers for owner in owners)]
