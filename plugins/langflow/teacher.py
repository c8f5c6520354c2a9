"""The LangFlow teacher: space, network, and how the two are trained together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from dlmone.core import Batch, Example, InputError, Noise, Sketch, Teacher, TrainingLoss
from dlmone.plugins.bert.start import EncoderSizes

from .network.denoiser import LangFlowNetwork
from .network.encoder import load_start
from .network.transformer import SINUSOID
from .options import TRAINED, LangFlowOptions
from .schedule import GumbelParameters
from .space import LangFlowSpace
from .student import LangFlowStudent
from .text import Vocabulary
from .training.entropy import log_frequencies, position_entropy, rows_of
from .training.loss import training_loss

TOKENIZER = "tokenizer.json"
#: Options that say where tokenizer and weights came from.
ORIGINS = ("tokenizer", "init_from", "loc", "scale", "entropy", "schedule_lr")


class LangFlowTeacher(Teacher):
    """LangFlow with the given sizes, untrained.

    Args:
        options: sizes and training choices.
        vocabulary: the tokenizer, wherever the options would have it from.
        rows: rows of the embedding table, where the tokenizer has fewer tokens.
    """

    space: LangFlowSpace
    network: LangFlowNetwork
    default_sampler = "langflow"

    def __init__(self, options: LangFlowOptions, vocabulary: Vocabulary, rows: int | None = None) -> None:
        super().__init__()
        self.options = options
        entropy = options.entropy or math.log(rows or vocabulary.size)
        self.space = LangFlowSpace(
            vocabulary,
            GumbelParameters(first_location(options, entropy), options.scale, entropy),
            cutoff=options.cutoff,
            length=options.length,
            width=options.width,
            rows=rows,
            normalised=options.normalised,
            conditional=options.conditional,
            source_length=options.longest_source,
            has_null=options.condition_dropout > 0,
            pairs=options.pairs,
            triples=options.triples,
            chain=options.chain,
        )
        self.space.embedding.requires_grad_(options.train_embedding)
        self.network = LangFlowNetwork(
            self.space,
            condition=options.condition,
            layers=options.layers,
            heads=options.heads,
            encoder=encoder_sizes(options),
            dropout=options.dropout,
            bayes=options.bayes,
            self_conditioning=options.self_conditioning,
            conditional=options.conditional,
            tied=options.tied,
        )
        self.feature_width = self.network.hidden_width
        #: Updates made, as far as the ramp needs to know.
        self.updates = 0

    @classmethod
    def build(cls, options: LangFlowOptions, examples: Iterable[Example]) -> Self:
        examples = list(examples)
        texts = chain.from_iterable((example.source, example.target) for example in examples)
        vocabulary = Vocabulary.from_bytes(options.tokenizer.build(texts).encode())
        teacher = cls(options, vocabulary)
        if options.init_from is not None:
            load_start(teacher.space, teacher.network.encoder, options.init_from, encoder_sizes(options))
        for counts in (teacher.space.pairs, teacher.space.triples):
            if counts is not None:
                counts.count(rows_of(teacher.space, examples))
        if options.frequencies:
            bias_V = teacher.network.output_layer.token_bias
            with torch.no_grad():
                bias_V.copy_(log_frequencies(teacher.space, examples, len(bias_V)))
        if options.entropy is None:
            entropy = position_entropy(teacher.space, examples)
            if entropy <= 0:
                raise InputError("entropy: all texts of the training data are alike; give it as an option")
            with torch.no_grad():
                teacher.space.proposal.entropy.fill_(entropy)
                teacher.space.proposal.loc.fill_(first_location(options, entropy))
        return teacher

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        options = LangFlowOptions.model_validate(config["options"], context=TRAINED)
        if TOKENIZER not in assets:
            raise InputError(f"there is no {TOKENIZER}")
        vocabulary, rows = Vocabulary.from_bytes(assets[TOKENIZER]), config["rows"]
        if vocabulary.size > rows:
            raise InputError(f"{TOKENIZER} has {vocabulary.size} tokens, and the embedding {rows} rows")
        return cls(options, vocabulary, rows)

    @classmethod
    def sketch(cls, options: LangFlowOptions) -> Sketch | None:
        rows = options.tokenizer.size()
        if rows is None or options.encoder_width is not None:
            return None
        sizes = network_size(options, rows)
        passes = 1 + options.self_conditioning
        return Sketch(sizes, rows * options.width + 3, options.length, options.width, passes)

    def config(self) -> dict[str, Any]:
        # Where a tokenizer and first weights came from is no part of what the teacher is now.
        options = self.options.model_dump(mode="json", exclude=set(ORIGINS))
        return {"options": options, "rows": len(self.space.embedding)}

    def assets(self) -> dict[str, bytes]:
        return {TOKENIZER: self.space.vocabulary.to_bytes()}

    # -- students --------------------------------------------------------------------------------------

    def new_generator(self, t_init: float, unit_input: bool = False) -> LangFlowStudent:
        return LangFlowStudent(self.copy_network(), self.space, t_init, unit_input)

    def smaller_network(self, layers: int | None = None, width: int | None = None) -> LangFlowNetwork:
        """Return φ with its first layers alone. Its width is that of the states, in its own blocks."""
        network: LangFlowNetwork = self.copy_network()  # type: ignore[assignment]
        network.keep_layers(_student_layers(self.options, layers, width))
        return network

    @classmethod
    def student_parameters(
        cls, options: LangFlowOptions, layers: int | None, width: int | None
    ) -> int | None:
        fewer = options.model_copy(update={"layers": _student_layers(options, layers, width)})
        sketch = cls.sketch(fewer)
        return None if sketch is None else sketch.network

    # -- training --------------------------------------------------------------------------------------

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Draw of each sample the quantile, and whether it reads its own estimate and keeps its condition."""
        options, schedule = self.options, self.space.schedule
        t_B = schedule.sample(noise.uniform("t"), schedule.min_time, schedule.max_time)
        if options.condition_dropout:
            batch = self._dropped(batch, noise.chosen("condition", options.condition_dropout))
        parts = training_loss(
            self.network,
            self.space,
            batch,
            t_B,
            noise.normal("noise", self.space.state_shape),
            noise.chosen("self", options.self_conditioning_rate),
            self._ramp(),
        )
        logged = {"cross_entropy": parts.cross_entropy_B.detach(), "schedule": parts.schedule_B.detach()}
        # What is observed is that an update was made.
        seen = {"t": t_B} if options.bayes_ramp else {}
        return TrainingLoss(parts.cross_entropy_B + parts.schedule_B, seen, logged)

    def _dropped(self, batch: Batch, dropped_B: Tensor) -> Batch:
        blank_BL = self.space.without_condition(batch).tokens_BL
        return replace(batch, tokens_BL=torch.where(dropped_B[:, None], blank_BL, batch.tokens_BL))

    def _ramp(self) -> float:
        """Return the size of the logits' Bayes term: it rises linearly from 0 to 1."""
        ramp = self.options.bayes_ramp
        return min(1.0, self.updates / ramp) if ramp else 1.0

    def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
        """Return the schedule's AdamW, if the options give it a learning rate of its own."""
        lr = self.options.schedule_lr
        if lr is None:
            return ()
        own = adam | {"lr": lr, "weight_decay": 0.0}
        return (torch.optim.AdamW(self.space.proposal.parameters(), **own),)

    def observe(self, observation: Mapping[str, Tensor]) -> None:
        self.updates += 1

    def training_state(self) -> dict[str, Tensor]:
        return {"updates": torch.tensor(self.updates)}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        self.updates = int(state["updates"])


def _student_layers(options: LangFlowOptions, layers: int | None, width: int | None) -> int:
    """Return a student's number of layers.

    Raises:
        InputError: φ has fewer, or another width is asked for.
    """
    if width is not None:
        raise InputError("width: students of LangFlow keep their teacher's; give layers alone")
    if layers is not None and layers > options.layers:
        raise InputError(f"layers: the teacher has {options.layers}, so its student can't have {layers}")
    return layers or options.layers


def encoder_sizes(options: LangFlowOptions) -> EncoderSizes | None:
    """Return the sizes of a BERT-type encoder, None where the network has blocks of its own."""
    width = options.encoder_width
    return (
        None
        if width is None
        else EncoderSizes(width, options.layers, options.heads, 4 * width, options.length)
    )


def network_size(options: LangFlowOptions, rows: int) -> int:
    """Return the parameters of the network: blocks, output, noise level, self-conditioning and places."""
    width, condition = options.width, options.condition
    block = 12 * width**2 + 7 * width + 6 * width * (condition + 1)
    linear = rows + width * (width if options.tied else rows)
    output = linear + width + 2 * width * (condition + 1)
    level = condition * (SINUSOID + 1) + condition * (condition + 1)
    options_own = 2 * width**2 * options.self_conditioning
    if options.conditional:
        options_own += width * options.length
    return options.layers * block + output + level + options_own


def first_location(options: LangFlowOptions, entropy: float) -> float:
    """Return where loc starts: D·SNR is the entropy there, about where rows begin to be told apart."""
    return math.log(options.width / entropy) if options.loc is None else options.loc
