"""The ELF teacher: a frozen T5 encoder's space, a network, and how it is trained."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor, nn

from dlmone.core import (
    Batch,
    Denoised,
    DiffusionGenerator,
    Example,
    InputError,
    Noise,
    Point,
    Sketch,
    Teacher,
    TrainingLoss,
)
from dlmone.plugins.bert.files import load_backend

from .encoder import build_encoder, load_encoder
from .network import ElfNetwork
from .options import ElfOptions, T5Sizes
from .space import ElfSpace
from .training.loss import Draws, training_loss
from .training.muon import optimizers
from .vocabulary import Vocabulary

TOKENIZER = "tokenizer.json"
#: Tokens of t5-small's tokenizer, which need not be at hand for a sketch.
T5_TOKENS = 32_100
#: Options that say where tokenizer and encoder came from.
ORIGINS = ("encoder", "tokenizer", "t5")


class ElfStudent(DiffusionGenerator):
    """A student that is called with a fixed scale of self-conditioning guidance."""

    network: ElfNetwork
    guidance = 1.0

    def call(self, point: Point, **wanted: Any) -> Denoised:
        if point.guidance_B is None:
            wanted = {"guidance": self.guidance, **wanted}
        return super().call(point, **wanted)

    def decode(self, state: Tensor, batch: Batch) -> tuple[Tensor, int]:
        return self.network.decode(state, batch, self.space, guidance=self.guidance)


class ElfTeacher(Teacher):
    """ELF with the given sizes, untrained.

    Args:
        options: sizes and training choices.
        vocabulary: the tokenizer, wherever the options would have it from.
        encoder: T5's; None for a model without a condition that only generates.
        sizes: the encoder's.
    """

    space: ElfSpace
    network: ElfNetwork
    default_sampler = "elf"

    def __init__(
        self, options: ElfOptions, vocabulary: Vocabulary, encoder: nn.Module | None, sizes: T5Sizes
    ) -> None:
        super().__init__()
        if encoder is not None and vocabulary.size > sizes.vocab_size:
            raise InputError(
                f"the tokenizer has {vocabulary.size} tokens, more than the encoder's {sizes.vocab_size}"
            )
        self.options, self.sizes = options, sizes
        self.space = ElfSpace(
            vocabulary,
            encoder,
            length=options.length,
            source_length=options.source_length,
            width=sizes.d_model,
            padding=options.padding,
            latent_std=options.latent_std,
            has_null=options.condition_dropout > 0,
        )
        self.network = network_of(options, sizes.d_model, vocabulary.size)
        self.feature_width = options.width

    @classmethod
    def build(cls, options: ElfOptions, examples: Iterable[Example]) -> Self:
        texts = chain.from_iterable((example.source, example.target) for example in examples)
        name = options.tokenizer or options.encoder
        vocabulary = Vocabulary.words(texts) if name == "words" else load_vocabulary(name)
        if options.encoder == "random":
            sizes = options.t5.model_copy(update={"vocab_size": vocabulary.size})
            return cls(options, vocabulary, build_encoder(sizes), sizes)
        sizes, encoder = load_encoder(options.encoder)
        return cls(options, vocabulary, encoder, sizes)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        options = ElfOptions.model_validate(config["options"])
        if TOKENIZER not in assets:
            raise InputError(f"there is no {TOKENIZER}")
        sizes = T5Sizes.model_validate(config["encoder"])
        encoder = build_encoder(sizes) if config["reads"] else None
        return cls(options, Vocabulary.from_bytes(assets[TOKENIZER]), encoder, sizes)

    @classmethod
    def sketch(cls, options: ElfOptions) -> Sketch | None:
        default = ElfOptions.model_fields["encoder"].default
        if options.encoder != default or options.tokenizer not in (None, default):
            return None  # what another encoder's sizes are, its files say
        sizes = T5Sizes()
        with torch.device("meta"):
            network = network_of(options, sizes.d_model, T5_TOKENS)
        return Sketch(
            sum(parameter.numel() for parameter in network.parameters()),
            encoder_size(sizes),
            options.length,
            options.width,
            takes_guidance=network.takes_guidance,
        )

    def config(self) -> dict[str, Any]:
        # Where tokenizer and encoder came from is no part of what the teacher is now.
        return {
            "options": self.options.model_dump(mode="json", exclude=set(ORIGINS)),
            "encoder": self.sizes.model_dump(mode="json"),
            "reads": self.space.encoder is not None,
        }

    def assets(self) -> dict[str, bytes]:
        return {TOKENIZER: self.space.vocabulary.to_bytes()}

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        student = ElfStudent(self.copy_network(), self.space, t_init, unit_input)
        student.guidance = self.options.student_guidance
        return student

    # -- training --------------------------------------------------------------------------------------

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Return sums over counted positions, and as weights their number: one mean for the whole batch."""
        draws = Draws.of(noise, self.space, self.options)
        parts = training_loss(self.network, self.space, batch, draws, self.options.decoder_noise)
        logged = {
            "velocity_error": (parts.velocity_B / parts.count_B).detach(),
            "cross_entropy": (parts.cross_entropy_B / parts.count_B).detach(),
        }
        loss_B = parts.velocity_B + parts.cross_entropy_B
        return TrainingLoss(loss_B, {}, logged, weight_B=parts.count_B.to(loss_B.dtype))

    def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
        return optimizers(self.network, adam["lr"], adam["betas"], adam["eps"])


def load_vocabulary(name: str) -> Vocabulary:
    """Load T5's tokenizer from a folder, an installed package or the hub.

    Raises:
        InputError: there is no such tokenizer, or it is not of T5's type.
    """
    path, backend = load_backend(name)
    try:
        return Vocabulary(backend)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def network_of(options: ElfOptions, states: int, tokens: int) -> ElfNetwork:
    """Return the network for states D = ``states`` wide and a vocabulary of V = ``tokens``."""
    return ElfNetwork(
        states=states,
        tokens=tokens,
        width=options.width,
        layers=options.layers,
        heads=options.heads,
        bottleneck=options.bottleneck,
        time_tokens=options.time_tokens,
        guidance_tokens=options.guidance_tokens,
        mode_tokens=options.mode_tokens,
        takes_guidance=not options.conditional,
    )


def encoder_size(sizes: T5Sizes) -> int:
    """Return the parameters of a T5 encoder, its embedding table included."""
    inner = sizes.num_heads * sizes.d_kv
    gated = sizes.feed_forward_proj.startswith("gated")
    layer = 4 * sizes.d_model * inner + (2 + gated) * sizes.d_model * sizes.d_ff + 2 * sizes.d_model
    bias = sizes.relative_attention_num_buckets * sizes.num_heads
    return sizes.vocab_size * sizes.d_model + sizes.num_layers * layer + bias + sizes.d_model
