"""Start a smaller network from a larger one: the first layers, and the first entries of every weight."""

import torch
from torch import nn


@torch.no_grad()
def copy_first(small: nn.Module, large: nn.Module) -> None:
    """Copy of each tensor of ``large`` the first entries along every axis into its namesake in ``small``.

    In a narrower layer this is Pᵀ·W·P with P the truncated identity: it works on the first coordinates. A map
    that ``small`` alone has, into or out of its width, starts as the truncated identity itself.

    Args:
        small: has ``large``'s names, but for layers that it lacks and maps that it adds.
        large: where its heads are joined, they must be as wide as those of ``small``.
    """
    given = large.state_dict()
    for name, tensor in small.state_dict().items():
        if name in given:
            tensor.copy_(given[name][tuple(slice(size) for size in tensor.shape)])
        elif tensor.dim() == 2:
            nn.init.eye_(tensor)
        else:
            tensor.zero_()
