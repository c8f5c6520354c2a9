"""plugins/bert/norm.py: half precision stays half precision, with the same error on every device."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.plugins.bert import norm
from dlmone.plugins.bert.encoder import Encoder
from dlmone.plugins.bert.norm import LayerNorm


def in_float32(self: LayerNorm, x: Tensor) -> Tensor:
    """Normalise as CUDA's autocast does."""
    weight, bias = self.weight, self.bias
    return functional.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps)


def as_on_cuda(self: LayerNorm, x: Tensor) -> Tensor:
    """Normalise as `LayerNorm` does on CUDA."""
    before, norm.MIXED = norm.MIXED, frozenset()
    try:
        return FORWARD(self, x)
    finally:
        norm.MIXED = before


FORWARD = LayerNorm.forward
WAYS: dict[str, Callable[[LayerNorm, Tensor], Tensor]] = {
    "float32": in_float32, "cpu": FORWARD, "cuda": as_on_cuda
}  # fmt: skip


def encoder(seed: int) -> tuple[Encoder, Tensor]:
    torch.manual_seed(seed)
    network = Encoder(6, 64, 4, 256, dropout=0.0, attention_dropout=0.0)
    for part in network.modules():
        if isinstance(part, nn.LayerNorm):  # weights of no whole number, as trained ones are
            nn.init.normal_(part.weight, 1.0, 0.3)
            nn.init.normal_(part.bias, 0.0, 0.3)
    return network, torch.randn(4, 24, 64)


def output_and_slope(network: Encoder, x: Tensor, half: bool) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    # One cast at the input, as DiffuSeq's network makes it.
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = network(x.to(torch.bfloat16) if half else x)
    (slope,) = torch.autograd.grad(out.double().square().mean(), x)
    return out.detach().double(), slope.double()


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def test_the_whole_networks_error_is_that_of_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against float64, of output and gradient: some more with rounded weights, half with a float32 stream."""
    errors: dict[str, float] = dict.fromkeys(WAYS, 0.0)
    for seed in range(4):
        network, x = encoder(seed)
        exact = output_and_slope(network.double(), x.double(), half=False)
        network.float()
        for name, way in WAYS.items():
            monkeypatch.setattr(LayerNorm, "forward", way)
            pairs = zip(output_and_slope(network, x, half=True), exact, strict=True)
            errors[name] += sum(error(*pair) for pair in pairs)
    print(errors)
    assert errors["cuda"] < 1.5 * errors["cpu"]
    assert errors["cuda"] < 4 * errors["float32"]


@pytest.mark.parametrize("way", ["cpu", "cuda"])
def test_activations_stay_in_half_precision(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerNorm, "forward", WAYS[way])
    network, x = encoder(0)
    seen: list[torch.dtype] = []
    for part in network.modules():
        part.register_forward_hook(lambda _, __, out: seen.append(out.dtype))  # type: ignore[arg-type]
    with torch.autocast("cpu", torch.bfloat16):
        network(x.to(torch.bfloat16))
    assert len(seen) > 60
    assert {*seen} == {torch.bfloat16}


def test_float32_is_pytorchs_own_to_the_last_bit() -> None:
    own, theirs = LayerNorm(32, 1e-12), nn.LayerNorm(32, 1e-12)
    nn.init.normal_(own.weight)
    theirs.load_state_dict(own.state_dict())
    x = torch.randn(3, 5, 32)
    for way in (FORWARD, as_on_cuda):
        assert torch.equal(way(own, x), theirs(x))


def test_autocast_does_not_change_the_dtype() -> None:
    """Autocast that computes normalisation in float32, as CUDA's does, has no say within."""
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.is_autocast_enabled("cpu") or LayerNorm(8)(torch.ones(2, 8)).dtype == torch.float32
        assert LayerNorm(8)(torch.ones(2, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
