"""A teacher for tests: words as unit vectors, and a network that fits in a few hundred numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from dlmone.core import (
    Batch,
    Denoised,
    Denoiser,
    Example,
    FlowSchedule,
    InputError,
    Noise,
    NoiseSchedule,
    Space,
    Teacher,
    TrainingLoss,
)
from dlmone.core.model.schedule import discrete_schedule, expand
from dlmone.core.step.losses import dsm_loss

PAD, SEP = "<pad>", "<sep>"

EXAMPLES = (
    Example("rain", "what is rain", "explain rain to me"),
    Example("snow", "explain snow", "what is snow"),
    Example("boat", "who made the boat", "who built it"),
    Example("moon", "where is the moon", "tell me where it is"),
)


@dataclass(frozen=True, slots=True)
class ToyOptions:
    """``schedule`` is ``flow`` (continuous time, α = 1 − σ) or a discrete one's name."""

    length: int = 10
    width: int = 4
    hidden: int = 8
    schedule: str = "sqrt"
    diffusion_steps: int = 2000

    def noise_schedule(self) -> NoiseSchedule:
        return (
            FlowSchedule()
            if self.schedule == "flow"
            else discrete_schedule(self.schedule, self.diffusion_steps)
        )


class ToySpace(Space):
    """Sequences ``source <sep> target <pad>…`` of words, each a fixed unit vector."""

    conditional = True
    table_VD: Tensor

    def __init__(self, words: Sequence[str], options: ToyOptions) -> None:
        super().__init__()
        self.words = tuple(words)
        self.schedule = options.noise_schedule()
        self.state_shape = (options.length, options.width)
        table_VD = functional.normalize(torch.randn(len(words), options.width), dim=1)
        self.register_buffer("table_VD", table_VD)

    def collate(self, examples: Sequence[Example]) -> Batch:
        length, _ = self.state_shape
        tokens_BL = torch.full((len(examples), length), self.words.index(PAD))
        target_BL = torch.ones(len(examples), length, dtype=torch.bool)
        for row, example in enumerate(examples):
            given, target = [*example.source.split(), SEP], example.target.split()
            if len(given) + len(target) > length or not {*given, *target} <= {*self.words}:
                raise InputError(f"example {example.id} does not fit: too long, or of unknown words")
            tokens = [self.words.index(word) for word in (*given, *target)]
            tokens_BL[row, : len(tokens)] = torch.tensor(tokens)
            target_BL[row, : len(given)] = False
        return Batch(tuple(example.id for example in examples), tokens_BL, target_BL)

    def embed(self, batch: Batch) -> Tensor:
        return self.table_VD[batch.tokens_BL]

    def decode(self, state: Tensor, batch: Batch) -> Tensor:
        return torch.where(batch.target_BL, self._nearest(state), batch.tokens_BL)

    def round(self, state: Tensor) -> Tensor:
        return self.table_VD[self._nearest(state)]

    def _nearest(self, state_BLD: Tensor) -> Tensor:
        return (state_BLD @ self.table_VD.T).argmax(-1)  # the rows are unit vectors

    def generated(self, batch: Batch) -> Tensor:
        return batch.target_BL[..., None]

    def blank(self, state: Tensor, batch: Batch) -> Tensor:
        return (batch.target_BL & (self._nearest(state) == self.words.index(PAD)))[..., None]

    def source_tokens(self, batch: Batch) -> Tensor:
        return ~batch.target_BL & (batch.tokens_BL != self.words.index(SEP))

    def insert_blanks(self, batch: Batch, before_BL: Tensor) -> Batch:
        return batch.insert(self.words.index(PAD), before_BL & self.source_tokens(batch))

    def null_condition(self, batch: Batch) -> Batch:
        tokens_BL = batch.tokens_BL.masked_fill(~batch.target_BL, self.words.index(PAD))
        return Batch(batch.ids, tokens_BL, batch.target_BL)

    def text(self, tokens_BL: Tensor, batch: Batch) -> list[str]:
        return self._strings(tokens_BL, batch.target_BL)

    def source_text(self, batch: Batch) -> list[str]:
        return self._strings(batch.tokens_BL, ~batch.target_BL)

    def _strings(self, tokens_BL: Tensor, where_BL: Tensor) -> list[str]:
        rows = zip(tokens_BL, where_BL, strict=True)
        words = ([self.words[token] for token in tokens_L[where_L]] for tokens_L, where_L in rows)
        return [" ".join(word for word in row if word not in (PAD, SEP)) for row in words]


class ToyNetwork(Denoiser):
    """x0 = W₂·tanh(W₁·e_t + W₃·mean over positions of e_t + position + σ_t·w): all that a denoiser reads.

    A second time s adds σ_s·w'. There is one layer, whatever its number; logits of the ``words`` are fixed
    products with it.
    """

    words_VH: Tensor

    def __init__(self, options: ToyOptions, words: int = 1) -> None:
        super().__init__()
        self.schedule = options.noise_schedule()
        self.own = nn.Linear(options.width, options.hidden)
        self.shared = nn.Linear(options.width, options.hidden, bias=False)
        self.position_LH = nn.Parameter(torch.randn(options.length, options.hidden))
        self.time_H = nn.Parameter(torch.randn(options.hidden))
        self.out = nn.Linear(options.hidden, options.width)
        self.register_buffer("words_VH", torch.randn(words, options.hidden))
        self.second_H: nn.Parameter | None = None

    def add_second_time(self) -> None:
        if not self.second_time:
            self.second_time, self.second_H = True, nn.Parameter(torch.zeros_like(self.time_H))

    def denoise(
        self,
        e_t: Tensor,
        t_B: Tensor,
        batch: Batch,
        *,
        features: bool = False,
        layers: tuple[int, ...] = (),
        tokens: bool = False,
        previous: Tensor | None = None,
        s_B: Tensor | None = None,
    ) -> Denoised:
        sigma_B11 = expand(self.schedule.sigma(t_B), e_t)
        time_B1H = sigma_B11 * self.time_H
        if self.second_H is not None:
            time_B1H = (
                time_B1H + expand(self.schedule.sigma(t_B if s_B is None else s_B), e_t) * self.second_H
            )
        shared_B1H = self.shared(e_t.mean(1, keepdim=True))
        hidden_BLH = torch.tanh(self.own(e_t) + shared_B1H + self.position_LH + time_B1H)
        x0 = self.out(hidden_BLH).to(e_t.dtype)
        wanted = bool(features or layers)
        return Denoised(
            x0,
            hidden_BLH if wanted else None,
            batch.target_BL if wanted else None,
            hidden_BLH @ self.words_VH.T if tokens else None,
            dict.fromkeys(layers, hidden_BLH),
        )


class ToyTeacher(Teacher):
    """The whole of the Teacher contract in one page; an example to start a plugin from."""

    space: ToySpace

    def __init__(self, words: Sequence[str], options: ToyOptions) -> None:
        super().__init__()
        self.options = options
        self.space = ToySpace(words, options)
        self.network = ToyNetwork(options, len(words))
        self.feature_width = options.hidden

    @classmethod
    def build(cls, options: ToyOptions, examples: Iterable[Example]) -> Self:
        texts = (f"{example.source} {example.target}" for example in examples)
        return cls([PAD, SEP, *sorted({word for text in texts for word in text.split()})], options)

    @classmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        return cls(assets["words.txt"].decode().split("\n"), ToyOptions(**config))

    def config(self) -> dict[str, Any]:
        return asdict(self.options)

    def assets(self) -> dict[str, bytes]:
        return {"words.txt": "\n".join(self.space.words).encode()}

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        schedule, e = self.space.schedule, self.space.embed(batch)
        t_B = schedule.sample(noise.uniform("t"), schedule.min_time, schedule.max_time)
        e_t = schedule.diffuse(e, t_B, noise.normal("epsilon", self.space.state_shape))
        x0 = self.network.denoise(self.space.pin(e_t, e, batch), t_B, batch).x0
        loss_B = dsm_loss(x0, e, self.space.generated(batch), torch.ones_like(t_B))
        return TrainingLoss(loss_B, observation={}, logged={})


def toy_teacher(
    options: ToyOptions | None = None, examples: Sequence[Example] = EXAMPLES, seed: int = 0
) -> ToyTeacher:
    """Return a toy teacher, frozen and in evaluation mode, with the weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyTeacher.build(options or ToyOptions(), examples).requires_grad_(False).eval()
