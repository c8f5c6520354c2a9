"""A one-step student as one static graph, from tokens and noise to tokens."""

import torch
from torch import Tensor, nn

from .generator import DiffusionGenerator
from .space import Batch


class OneStepGraph(nn.Module):
    """G_θ(c, z) with its embedding and its decoding (section 3.1): all between two token sequences.

    Nothing in `forward` depends on a value, so that ``torch.export`` and ONNX can trace it for any number of
    rows. The decoding is the arg max of `Space.scores` in float32.

    Raises:
        InputError: the space has no scores.
    """

    #: Names of the inputs of `forward`, in order, and of its output.
    INPUTS, OUTPUT = ("tokens", "target", "noise"), "generated"

    def __init__(self, generator: DiffusionGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, tokens_BL: Tensor, target_BL: Tensor, noise: Tensor) -> Tensor:
        """Return token ids [B, L]; given positions keep theirs.

        Args:
            tokens_BL: int64; what stands at generated positions is not read.
            target_BL: bool, True where a token is generated.
            noise: standard normal, float32, [B, *state_shape].
        """
        space = self.generator.space
        batch = space.encode(Batch((), tokens_BL, target_BL))
        scores_BLV = space.scores(self.generator.one_step(batch, noise), batch)
        return torch.where(target_BL, scores_BLV.argmax(-1), tokens_BL)
