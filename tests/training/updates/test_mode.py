"""dlmone/training/updates/mode.py: the mode that `nn.Module.train` sets, whatever the modules do with it."""

from collections.abc import Callable
from typing import Any, Self

import pytest
import torch
from torch import nn

from dlmone.training.updates.mode import set_mode


class Kept(nn.Dropout):
    """Stays in evaluation mode, as frozen batch statistics do."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class Noted(nn.Dropout):
    """Notes its mode as it is set."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training":
            vars(self).setdefault("seen", []).append(value)
        super().__setattr__(name, value)


def nested(inner: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"a": nn.ModuleList([inner, nn.BatchNorm1d(2)])}))


pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")
KINDS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Dropout(0.5),
    "overrides train": lambda: Kept(0.5),
    "overrides __setattr__": lambda: Noted(0.5),
    "scripted": lambda: torch.jit.script(nn.Dropout(0.5)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_is_in_the_mode_that_pytorch_would_set(kind: str) -> None:
    networks = [nested(KINDS[kind]()), nn.Dropout(0.5)]
    expected = [nested(KINDS[kind]()), nn.Dropout(0.5)]
    for training in (False, True, True, False):
        for network, right in zip(networks, expected, strict=True):
            set_mode(network, training)
            right.train(training)
        for one, right in zip(networks, expected, strict=True):
            found, wanted = ([part.training for part in each.modules()] for each in (one, right))
            assert found == wanted
            assert len({*found}) == 1 or kind == "overrides train"
    if kind == "overrides __setattr__":
        inner, other = (network[1]["a"][0] for network in (networks[0], expected[0]))
        assert inner.seen == other.seen


def test_a_scripted_module_drops_in_training_mode_alone() -> None:
    scripted = torch.jit.script(nn.Dropout(0.5))
    x = torch.ones(100)
    set_mode(scripted, False)
    assert torch.equal(scripted(x), x)
    set_mode(scripted, True)
    assert not torch.equal(scripted(x), x)


def test_modules_that_came_later_are_in_the_mode_too() -> None:
    network = nested(nn.Dropout(0.5))
    set_mode(network, False)
    network[1]["b"] = nested(nn.Dropout(0.5))  # such as a part that is made at its first call
    network[1]["a"][0] = nn.Dropout(0.5)
    set_mode(network, False)
    assert not any(part.training for part in network.modules())


def test_a_train_of_one_instance_is_called() -> None:
    network = nested(nn.Dropout(0.5))
    seen: list[bool] = []
    network[1]["a"].train = seen.append
    set_mode(network, False)
    assert seen == [False]
