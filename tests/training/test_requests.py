"""What objectives request is there: networks give the outputs, or the run stops before any training."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import (
    GENERATOR,
    TEACHER,
    Batch,
    Denoised,
    Gradient,
    InputError,
    Noised,
    Objective,
    Request,
    StepContext,
    Term,
)
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.testing import check_objective, toy_teacher
from dlmone.testing.toy import EXAMPLES, ToyNetwork
from dlmone.training.requests import check_requests


class TokenKL(Objective):
    """θ's tokens at noised real data have the distribution that φ gives them."""

    def __init__(self) -> None:
        self.theta = Request(GENERATOR, Noised("real"), Gradient.PARAMETERS, tokens=True)
        self.phi = Request(TEACHER, Noised("real"), tokens=True)

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.theta, self.phi) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        p, q = (step[one].logits_BLV.log_softmax(-1) for one in (self.phi, self.theta))
        return Term(masked_mean((p.exp() * (p - q)).sum(-1), step.real.target_BL), {})


class MiddleLayer(Objective):
    """θ's output has small features in φ's third layer."""

    def __init__(self) -> None:
        self.phi = Request(TEACHER, Noised(), Gradient.INPUT, features=(2,))

    def requests(self, role: Role) -> Sequence[Request] | None:
        return (self.phi,) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        hidden_BNH, mask_BN = step[self.phi].features(2)
        return Term(masked_mean(hidden_BNH**2, mask_BN[..., None]), {})


@pytest.mark.parametrize("objective", [TokenKL(), MiddleLayer()], ids=["tokens", "layer"])
def test_the_contract_check_knows_tokens_and_layers(objective: Objective) -> None:
    check_objective(objective)


class Plain(ToyNetwork):
    """Gives x0 and its last features alone."""

    def denoise(  # type: ignore[override]
        self, e_t: Tensor, t_B: Tensor, batch: Batch, *, features: bool = False, previous: Any = None
    ) -> Denoised:
        return super().denoise(e_t, t_B, batch, features=features)


@pytest.mark.parametrize(
    ("objective", "lacking"),
    [(TokenKL(), "token logits"), (MiddleLayer(), "features of chosen layers")],
    ids=["tokens", "layer"],
)
def test_outputs_that_a_network_does_not_give_are_refused(objective: Objective, lacking: str) -> None:
    toy = toy_teacher()
    check_requests(toy, {"one": {"mine": objective}}, EXAMPLES[0])
    toy.network.__class__ = Plain
    with pytest.raises(InputError, match=rf"^stages\.one\.objectives\.mine: Plain gives no {lacking}$"):
        check_requests(toy, {"one": {"mine": objective}}, EXAMPLES[0])


class OneLayer(ToyNetwork):
    """Draws, as a network with dropout does, and leaves out what it lacks, where others raise."""

    def denoise(self, *args: Any, layers: tuple[int, ...] = (), **wanted: Any) -> Denoised:  # type: ignore[override]
        torch.rand(())
        return super().denoise(*args, layers=tuple(layer for layer in layers if layer == 0), **wanted)


def test_a_layer_that_a_network_leaves_out_is_refused_and_no_draw_is_spent() -> None:
    toy = toy_teacher()
    toy.network.__class__ = OneLayer
    before = torch.get_rng_state()
    with pytest.raises(InputError, match=r"layer 2: it has layers 0 to 0, and -1 is the last$"):
        check_requests(toy, {"one": {"mine": MiddleLayer()}}, EXAMPLES[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_an_error_of_the_networks_own_is_not_a_missing_layer() -> None:
    class Broken(ToyNetwork):
        def denoise(self, *args: Any, layers: tuple[int, ...] = (), **wanted: Any) -> Denoised:  # type: ignore[override]
            raise IndexError("its own")

    toy = toy_teacher()
    toy.network.__class__ = Broken
    with pytest.raises(IndexError, match="its own"):
        check_requests(toy, {"one": {"mine": MiddleLayer()}}, EXAMPLES[0])
