"""The DiffuSeq teacher: space, network, and their joint training."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from dlmone.core import Batch, Example, InputError, Noise, NoiseSchedule, Sketch, Teacher, TrainingLoss
from dlmone.core.model.schedule import discrete_schedule
from dlmone.core.transfer import on_host
from dlmone.plugins.bert.smaller import copy_first
from dlmone.plugins.bert.start import EncoderSizes, load_encoder
from dlmone.plugins.bert.tokenizer import Tokenizer

from .network import DiffuSeqNetwork
from .options import DiffuSeqOptions
from .pretrained.embedding import load_embedding
from .pretrained.official import TABLE, TIED, check_official, to_official
from .space import DiffuSeqSpace
from .training.groups import by_length
from .training.loss import training_loss
from .training.times import LossAwareTimes, NoisyTimes, UniformTimes

TOKENIZER = "tokenizer.json"
#: Options for the origin of tokenizer and initial weights.
ORIGINS = ("tokenizer", "init_from", "init_embedding")


class DiffuSeqTeacher(Teacher):
    """DiffuSeq with the given sizes, untrained.

    Args:
        options: sizes and training options.
        tokenizer: the tokenizer; the options' ``tokenizer`` is not read here.
        vocab_size: rows of the embedding table, if the tokenizer has fewer tokens.
    """

    space: DiffuSeqSpace
    network: DiffuSeqNetwork

    def __init__(self, options: DiffuSeqOptions, tokenizer: Tokenizer, vocab_size: int | None = None) -> None:
        super().__init__()
        self.options = options
        schedule = discrete_schedule(options.noise_schedule, options.diffusion_steps)
        self.space = DiffuSeqSpace(
            tokenizer,
            schedule,
            seq_len=options.seq_len,
            hidden_dim=options.hidden_dim,
            vocab_size=vocab_size,
        )
        self.network = network_of(options, schedule)
        self.feature_width = options.width
        self.times = times_for(options)
        self.space.word_embedding.requires_grad_(options.train_embedding)
        self.space.lm_head.requires_grad_(options.train_embedding)

    @classmethod
    def build(cls, options: DiffuSeqOptions, examples: Iterable[Example]) -> Self:
        texts = chain.from_iterable((example.source, example.target) for example in examples)
        teacher = cls(options, Tokenizer.from_bytes(options.tokenizer.build(texts).encode()))
        if options.init_from is not None:
            load_encoder(teacher.network, options.init_from, encoder_sizes(options))
            if options.init_embedding:
                load_embedding(teacher.space, teacher.network, options.init_from)
        return teacher

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        options = DiffuSeqOptions.model_validate(config["options"])
        if TOKENIZER not in assets:
            raise InputError(f"there is no {TOKENIZER}")
        tokenizer, rows = Tokenizer.from_bytes(assets[TOKENIZER]), config["vocab_size"]
        if tokenizer.size > rows:
            raise InputError(f"{TOKENIZER} has {tokenizer.size} tokens, and the embedding {rows} rows")
        return cls(options, tokenizer, rows)

    @classmethod
    def sketch(cls, options: DiffuSeqOptions) -> Sketch | None:
        if (vocab_size := options.tokenizer.size()) is None:
            return None
        schedule = discrete_schedule(options.noise_schedule, options.diffusion_steps)
        with torch.device("meta"):
            network = network_of(options, schedule)
        return Sketch(
            network=sum(parameter.numel() for parameter in network.parameters()),
            space=vocab_size * (options.hidden_dim + 1),
            positions=options.seq_len,
            width=options.width,
        )

    def config(self) -> dict[str, Any]:
        # The origin of tokenizer and initial weights is not part of the trained teacher.
        options = self.options.model_dump(mode="json", exclude=set(ORIGINS))
        return {"options": options, "vocab_size": self.space.word_embedding.num_embeddings}

    def assets(self) -> dict[str, bytes]:
        return {TOKENIZER: self.space.tokenizer.to_bytes()}

    # -- students --------------------------------------------------------------------------------------

    def smaller_network(self, layers: int | None = None, width: int | None = None) -> DiffuSeqNetwork:
        """Return φ's first layers, narrower by whole heads, as are its maps from and to the embeddings."""
        network = network_of(student_options(self.options, layers, width), self.space.schedule)
        copy_first(network, self.network)
        return network

    @classmethod
    def student_parameters(
        cls, options: DiffuSeqOptions, layers: int | None, width: int | None
    ) -> int | None:
        schedule = discrete_schedule(options.noise_schedule, options.diffusion_steps)
        with torch.device("meta"):
            network = network_of(student_options(options, layers, width), schedule)
        return sum(parameter.numel() for parameter in network.parameters())

    # -- training --------------------------------------------------------------------------------------

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Draw a time for each sample, and weight its loss by the time's importance weight."""
        t_B, weight_B = self.times.draw(noise.uniform("t"))
        shape, groups = self.space.state_shape, self.options.length_groups
        x0_noise, later_noise = noise.normal("x0", shape), noise.normal("noise", shape)
        padded_B = on_host(noise.uniform("padded")) < 1 / groups
        rows, parts = [], []
        for rows_N, group in by_length(batch, self.space.tokenizer.pad_id, groups, padded_B):
            length = group.tokens_BL.shape[1]
            rows.append(rows_N)
            parts.append(
                training_loss(
                    self.network,
                    self.space,
                    group,
                    t_B[rows_N],
                    x0_noise[rows_N, :length],
                    later_noise[rows_N, :length],
                    clean_target=self.options.clean_target,
                    generated_only=self.options.loss_positions == "generated",
                )
            )
        back_B = torch.cat(rows).argsort()
        loss_B = torch.cat([part.loss_B for part in parts])[back_B]
        mse_B = torch.cat([part.mse_B for part in parts])[back_B]
        decoder_nll_B = torch.cat([part.decoder_nll_B for part in parts])[back_B]
        return TrainingLoss(
            loss_B=weight_B * loss_B,
            observation={"t": t_B, "loss": loss_B.detach()},
            logged={"mse": mse_B.detach(), "decoder_nll": decoder_nll_B.detach()},
        )

    def observe(self, observation: Mapping[str, Tensor]) -> None:
        self.times.observe(observation["t"], observation["loss"])

    def training_state(self) -> dict[str, Tensor]:
        return self.times.state()

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        self.times.load_state(state)

    # -- official checkpoints --------------------------------------------------------------------------

    def official_state_dict(self) -> dict[str, Tensor]:
        """Return the weights under the names of an official checkpoint, the tied one under both its names."""
        return to_official(self.space.state_dict(), self.network.state_dict())

    def load_official(self, official: Mapping[str, Tensor]) -> float:
        """Load an official state dict; the embedding is its ``lm_head.weight``.

        Official EMA files hold the average of the embedding under ``word_embedding.weight`` and the
        latest raw one under ``lm_head.weight``, and official sampling runs with the latter.

        Returns:
            The largest difference between the two.

        Raises:
            InputError: names or shapes are not those of this configuration.
        """
        check_official(official, self.official_state_dict())
        table_VD = official[TIED].detach()
        self.space.load_state_dict({TABLE: table_VD, "lm_head.bias": official["lm_head.bias"]})
        self.network.load_state_dict({key: official[key] for key in self.network.state_dict()})
        return float((table_VD - official[TABLE].detach()).abs().max())


def student_options(options: DiffuSeqOptions, layers: int | None, width: int | None) -> DiffuSeqOptions:
    """Return the options of a teacher that has the student's network.

    Raises:
        InputError: φ has fewer layers, or the width is not one of whole heads below φ's.
    """
    layers, width = layers or options.layers, width or options.width
    if layers > options.layers:
        raise InputError(f"layers: the teacher has {options.layers}, so its student can't have {layers}")
    head = options.width // options.heads
    if width > options.width or width % head:
        raise InputError(
            f"width: expected a multiple of the {head} of a head, at most the teacher's {options.width}, "
            f"got {width}"
        )
    if width == options.hidden_dim != options.width:
        raise InputError(f"width: {width} is that of the embeddings, from which there is no map then")
    feedforward = options.feedforward_width * width // options.width
    sizes = {"layers": layers, "width": width, "heads": width // head, "feedforward": feedforward}
    return options.model_copy(update=sizes)


def encoder_sizes(options: DiffuSeqOptions) -> EncoderSizes:
    return EncoderSizes(
        options.width, options.layers, options.heads, options.feedforward_width, options.max_positions
    )


def network_of(options: DiffuSeqOptions, schedule: NoiseSchedule) -> DiffuSeqNetwork:
    return DiffuSeqNetwork(
        schedule,
        hidden_dim=options.hidden_dim,
        hidden_t_dim=options.hidden_t_dim,
        width=options.width,
        layers=options.layers,
        heads=options.heads,
        feedforward=options.feedforward_width,
        dropout=options.dropout,
        attention_dropout=options.attention_dropout,
        max_positions=options.max_positions,
    )


def times_for(options: DiffuSeqOptions) -> UniformTimes:
    steps = options.diffusion_steps
    if options.time_sampler == "noisy":
        return NoisyTimes(steps, options.noisy_from)
    return LossAwareTimes(steps) if options.time_sampler == "lossaware" else UniformTimes(steps)
