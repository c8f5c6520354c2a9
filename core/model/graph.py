"""A one-step student as one static graph, from tokens and noise to tokens."""

from torch import Tensor, nn

from ..step.noise import Noise
from .generator import DiffusionGenerator
from .space import Batch


class OneStepGraph(nn.Module):
    """G_θ(c, z) with its embedding and its decoding (section 3.1): all between two token sequences.

    It is the generator's `one_step_tokens`, which ``torch.export`` and ONNX can trace for any number of rows.
    """

    #: Name of the output of `forward`.
    OUTPUT = "generated"

    def __init__(self, generator: DiffusionGenerator) -> None:
        super().__init__()
        self.generator = generator
        #: Names of the inputs of `forward`, in order; the noise is z, other draws have their own names.
        self.inputs = ("tokens", "target", "noise", *(draw.name for draw in generator.draws[1:]))

    def forward(self, tokens_BL: Tensor, target_BL: Tensor, *draws: Tensor) -> Tensor:
        """Return token ids [B, L]; given positions keep theirs.

        Args:
            tokens_BL: int64; what stands at generated positions is not read.
            target_BL: bool, True where a token is generated.
            draws: what the generator names in its ``draws``, the first of which is z [B, *state_shape].
        """
        noise = Noise((), made=dict(zip(self.generator.draws, draws, strict=True)))
        batch = self.generator.space.encode(Batch((), tokens_BL, target_BL))
        return self.generator.one_step_tokens(batch, noise)
