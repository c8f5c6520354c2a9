"""Hold the networks trained alongside θ: ψ, the objectives' auxiliaries, and moving averages."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set

import torch
from torch import Tensor, nn

from dlmone.core import ESTIMATOR, Auxiliary, Average, DiffusionGenerator, Network, Objective, Teacher
from dlmone.core.contract import require
from dlmone.core.model.denoiser import copy_network
from dlmone.core.step.noise import Key, seed_of
from dlmone.core.step.request import Role
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.shards import load_state

from ..saving.checkpoint import pack, unpack
from .mode import set_mode
from .optimizer import MovingAverage, Optimizer

#: Beside the names of auxiliaries, ``TERM.NAME``, which hold a dot.
_ESTIMATOR, _REFERENCE = "estimator", "reference"


class EstimatorNetworks:
    """ψ and the auxiliaries, trained by the estimator's update, and the moving averages of any network.

    Args:
        requested: the networks that the stage's objectives request; ψ exists only if requested.
        objectives: the stage's objectives by name.
        teacher: the networks are built from it.
        others: further networks that averages may follow.
        stage: ψ's optimizer settings, which auxiliaries share, and its average.
        compute: where the networks go.
        key: random key of the initial weights.
    """

    def __init__(
        self,
        requested: Set[Network],
        objectives: Mapping[str, Objective],
        teacher: Teacher,
        others: Mapping[Network, nn.Module],
        stage: Stage,
        compute: Compute,
        key: Key,
    ) -> None:
        self.stage = stage
        networks: dict[str, Auxiliary | Average] = {}
        owners: dict[str, Objective] = {}
        for term, objective in objectives.items():
            named = {f"{term}.{network.name}": network for network in declared(objective)}
            networks |= named
            owners |= dict.fromkeys(named, objective)
        self.trained: dict[str, Network] = {}
        self.modules: dict[Network, nn.Module] = {}
        if ESTIMATOR in requested:
            self.trained[_ESTIMATOR] = ESTIMATOR
            self.modules[ESTIMATOR] = teacher.new_score_estimator().requires_grad_(True)
        for name, auxiliary in networks.items():
            if isinstance(auxiliary, Auxiliary):
                torch.manual_seed(seed_of((*key, "auxiliary", name)))
                self.trained[name] = auxiliary
                module = auxiliary.new(teacher)
                made = isinstance(module, nn.Module)
                require(made, owners[name], f"{auxiliary.name}.new", "an nn.Module", module)
                self.modules[auxiliary] = module.requires_grad_(True)
        teacher.space.requires_grad_(False)  # also what a network shares with it
        self.averages = {name: one for name, one in networks.items() if isinstance(one, Average)}
        self._averaging: dict[Average, MovingAverage] = {}
        for name, average in self.averages.items():
            known = {**others, **self.modules}
            what = f"an Average of a network of this stage ({', '.join(one.name for one in known)})"
            require(average.of in known, owners[name], "auxiliaries", what, average.of)
            followed = known[average.of]
            self.modules[average] = _frozen_copy(followed)
            self._averaging[average] = MovingAverage(_weights(self.modules[average]), _weights(followed))
        # The ψ that θ's update uses: ψ itself, or its average.
        averaged = stage.estimator_average and ESTIMATOR in self.modules
        self.reference = _frozen_copy(self.modules[ESTIMATOR]) if averaged else None
        self._following = MovingAverage(self.reference, self.modules[ESTIMATOR]) if self.reference else None
        for module in (*self.modules.values(), *([self.reference] if self.reference else [])):
            compute.place(module, teacher.space)
        # A discriminator's head may have no parameters.
        self.optimizers = {
            name: Optimizer(self.modules[network], stage.estimator)
            for name, network in self.trained.items()
            if any(parameter.requires_grad for parameter in self.modules[network].parameters())
        }

    def of(self, role: Role) -> dict[Network, nn.Module]:
        """Return the networks as the update of a role sees them."""
        if role == "generator" and self.reference is not None:
            return {**self.modules, ESTIMATOR: self.reference}
        return self.modules

    def everything(self) -> list[nn.Module]:
        """Return all networks, averages included."""
        return [*self.modules.values(), *([] if self.reference is None else [self.reference])]

    def trainable(self) -> list[nn.Module]:
        """Return the networks that ψ's update trains."""
        return [self.modules[network] for network in self.trained.values()]

    def train(self, mode: bool) -> None:
        """Set ψ and the auxiliaries to training or evaluation mode."""
        for module in self.trainable():
            set_mode(module, mode)

    def step(self, lr: float, updates: int) -> Tensor:
        """Update all networks from their gradients.

        Args:
            lr: the learning rate.
            updates: number of earlier updates.

        Returns:
            Whether every gradient was finite: a bool tensor of one entry.
        """
        finite = [optimizer.step(lr) for optimizer in self.optimizers.values()]
        for network in self.trained.values():
            self.follow(network)
        if self._following is not None and self.stage.estimator_average:
            # A plain mean until there have been enough updates for the decay.
            rate = min(self.stage.estimator_average, 1 - 1 / (updates + 2))
            self._following.update(rate)
        return torch.stack(finite).all() if finite else torch.tensor(True)

    def follow(self, network: Network) -> None:
        """Update the averages of a network after its own update."""
        for average, averaging in self._averaging.items():
            if average.of is network:
                averaging.update(average.rate)

    def state(self) -> dict[str, Tensor]:
        """Return weights and moments for a checkpoint."""
        return pack(
            **{name: module.state_dict() for name, module in self._saved().items()},
            **{f"{name}_optimizer": one.state() for name, one in self.optimizers.items()},
        )

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned.

        Raises:
            RuntimeError: a network has another shape than the saved one.
        """
        for name, module in self._saved().items():
            load_state(module, unpack(tensors, name))
        for name, optimizer in self.optimizers.items():
            optimizer.load(unpack(tensors, f"{name}_optimizer"))

    def _saved(self) -> dict[str, nn.Module]:
        named = {**self.trained, **self.averages}
        saved = {name: _weights(self.modules[network]) for name, network in named.items()}
        return {**saved, _REFERENCE: self.reference} if self.reference is not None else saved


def declared(objective: Objective) -> Sequence[Auxiliary | Average]:
    """Return an objective's auxiliaries.

    Raises:
        PluginError: they are something else, or two have one name.
    """
    networks = tuple(objective.auxiliaries)
    for network in networks:
        fits = isinstance(network, (Auxiliary, Average))
        require(fits, objective, "auxiliaries", "Auxiliary and Average networks", network)
    names = [network.name for network in networks]
    different = len({*names}) == len(names)
    require(different, objective, "auxiliaries", "networks of different names", names)
    return networks


def _frozen_copy(module: nn.Module) -> nn.Module:
    """Copy a network for its average; a generator's copy shares its space."""
    if isinstance(module, DiffusionGenerator):
        module = module.with_network(copy_network(module.network, module.space))
    else:
        module = copy.deepcopy(module)
    _weights(module).requires_grad_(False)
    return module.eval()


def _weights(module: nn.Module) -> nn.Module:
    """Return the part of a network that is averaged and saved. A generator's shared space is excluded."""
    return module.network if isinstance(module, DiffusionGenerator) else module
