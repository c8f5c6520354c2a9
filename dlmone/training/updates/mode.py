"""Switch networks between training and evaluation mode."""

from __future__ import annotations

from torch import nn


def set_mode(module: nn.Module, training: bool) -> None:
    """Set training mode, or evaluation mode, as ``module.train(training)`` does.

    PyTorch assigns to each module by way of ``nn.Module.__setattr__``: 3 µs each, four times an iteration.
    Where modules leave their mode to PyTorch, only their attribute has to be set.
    """
    if not _is_plain(module):
        module.train(training)
        return
    vars(module)["training"] = training
    for child in module._modules.values():
        if child is not None:
            set_mode(child, training)


def _is_plain(module: nn.Module) -> bool:
    """Tell whether setting a module's mode sets its attribute ``training`` and its children's, no more."""
    kind, own = type(module), vars(module)
    inherited = kind.train is nn.Module.train and kind.__setattr__ is nn.Module.__setattr__
    return inherited and "training" in own and "train" not in own
