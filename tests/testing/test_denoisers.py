"""dlmone.testing.check_teacher finds each fault of a network and says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dlmone.core import Denoised
from dlmone.testing import ToyTeacher, check_teacher, toy_teacher
from dlmone.testing.toy import EXAMPLES

from .faults import patched
from .finds import Finds


def network(change: Callable[..., Tensor]) -> Callable[[], ToyTeacher]:
    """Build toys whose x0 is ``change(x0, e_t)``."""
    return patched("network.denoise", lambda _, right, e_t, *__: replace(right, x0=change(right.x0, e_t)))


def reading_the_reference() -> ToyTeacher:
    """Build a toy whose network reads the reference in its batch."""
    change = lambda toy, right, e_t, t_B, batch, **_: replace(  # noqa: E731
        right, x0=right.x0 + 0.01 * toy.space.embed(batch)
    )
    return patched("network.denoise", change)()


def claiming(name: str, shift: Callable[..., float] = lambda **_: 0.0) -> Callable[[], ToyTeacher]:
    """Build toys whose network says that it takes an input; its x0 moves by ``shift``."""

    def build() -> ToyTeacher:
        toy = toy_teacher()
        right = toy.network.denoise

        def denoise(*args: Any, previous: Any = None, guidance: Any = None, **named: Any) -> Denoised:
            answer = right(*args, **named)
            return replace(answer, x0=answer.x0 + shift(previous=previous, guidance=guidance))

        toy.network.denoise = denoise
        setattr(toy.network, name, True)
        return toy

    return build


NETWORKS: dict[str, Callable[[], ToyTeacher]] = {
    "x0 must be float32": network(lambda x0, e_t: x0.bfloat16() if torch.is_autocast_enabled("cpu") else x0),
    "must not change e_t in place": network(
        lambda x0, e_t: x0 + 0 * e_t.add_(1) if not e_t.requires_grad else x0
    ),
    "must return the same every time": network(lambda x0, e_t: x0 + torch.rand(())),
    "x0 of a sample depends on its batch mates": network(lambda x0, e_t: x0 - x0.mean(0)),
    "x0 must be differentiable in e_t": network(lambda x0, e_t: x0.detach()),
    "give them, and their mask": patched("network.denoise", lambda _, right, *__: Denoised(right.x0)),
    "give them as `layers`": patched(
        "network.denoise",
        lambda _, right, *__: replace(right, layers={n: h[:, :1] for n, h in right.layers.items()}),
    ),
    "with and without a layer's states": patched(
        "network.denoise", lambda _, right, *__: replace(right, x0=right.x0 + len(right.layers))
    ),
    "denoise() of a restored teacher": network(lambda x0, e_t: 2 * x0),
    "x0 depends on the batch's generated tokens": reading_the_reference,
    "`previous` changes nothing": claiming("self_conditioning"),
    "previous=None must stand for zeros": claiming(
        "self_conditioning", lambda previous, **_: float(previous is None)
    ),
    "guidance=1.0 must be the plain prediction": claiming(
        "takes_guidance", lambda guidance, **_: guidance or 0.0
    ),
    "`guidance` changes nothing": claiming("takes_guidance"),
}


@pytest.mark.parametrize("sentence", NETWORKS)
def test_networks(finds: Finds, sentence: str) -> None:
    with finds(sentence):
        check_teacher(NETWORKS[sentence], EXAMPLES)
