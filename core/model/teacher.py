"""Define the teacher φ: a frozen denoiser in its space, from which θ and ψ are initialised."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..earlier import refuse_parameter
from ..errors import InputError
from ..step.noise import Noise
from ..text.data import Example
from .denoiser import Denoiser, copy_network
from .estimator import DiffusionScoreEstimator, ScoreEstimator
from .generator import DiffusionGenerator
from .space import Batch, Space


@dataclass(frozen=True, slots=True)
class TrainingLoss:
    """One pretraining loss.

    The loss of a batch is the mean of ``loss_B``, or, with weights, Σ loss_B / Σ weight_B: the mean over the
    tokens of a batch where ``loss_B`` is a sum over a sample's tokens and ``weight_B`` their number. Both are
    taken over the global batch, so microbatches and processes change neither.

    Attributes:
        loss_B: the loss, one value per sample (importance weights included).
        observation: tensors [B], gathered over the global batch in its order and passed to
            `Teacher.observe` after the update, in the host's memory; e.g. for a loss-aware time sampler.
        logged: detached values [B], averaged and logged.
        weight_B: what the sum is divided by, without gradient; the number of samples if None.
        batch_wide: ``loss_B`` is one scalar, as samples can't be told apart (a contrastive loss). The batch
            is then never split into microbatches or over processes.
    """

    loss_B: Tensor
    observation: Mapping[str, Tensor]
    logged: Mapping[str, Tensor]
    weight_B: Tensor | None = None
    batch_wide: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    """The size of a teacher, for estimates of memory and time before it is built.

    Attributes:
        network: parameters of the denoiser.
        space: parameters of the space (an embedding table), which all networks share.
        positions: positions computed in one pass (the tokens of a sequence).
        width: the network's hidden width per position.
        passes: network passes of one evaluation (`Denoiser.evaluate`), 2 with self-conditioning.
        takes_guidance: whether the guidance scale is an input; otherwise a guided evaluation is two.
    """

    network: int
    space: int
    positions: int
    width: int
    passes: int = 1
    takes_guidance: bool = False


class Teacher(nn.Module, ABC):
    """A diffusion language model: a space and a denoiser.

    A teacher is rebuilt from three things in a folder: `config` (JSON), `assets` (named files, such as a
    tokeniser) and the state dict. A published student is rebuilt from the same three by `new_generator`,
    with its own weights instead of φ's. Loading a student therefore never needs its teacher.
    """

    space: Space
    network: Denoiser
    #: Width of the features that `Denoiser.denoise` returns.
    feature_width: int

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        instead = "return DiffusionScoreEstimator(self.copy_network()); the head is an objective's"
        refuse_parameter(cls, "new_score_estimator", "head", instead)

    #: The plugin that samples from this teacher where no sampler is named; None for the registry's default.
    default_sampler: str | None = None

    @classmethod
    @abstractmethod
    def build(cls, options: Any, examples: Iterable[Example]) -> Self:
        """Return an untrained teacher. ``examples`` are the training data, for building a vocabulary."""

    @classmethod
    @abstractmethod
    def restore(cls, config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Self:
        """Rebuild a teacher from its `config` and `assets`; its weights are loaded afterwards."""

    @classmethod
    def sketch(cls, options: Any) -> Sketch | None:
        """Return the size of the teacher that `build` would return, or None if it must be built to know."""
        return None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return all that `restore` needs besides the assets, as JSON values."""

    def assets(self) -> dict[str, bytes]:
        """Return the named files that `restore` needs, such as a tokeniser's."""
        return {}

    def new_generator(self, t_init: float, unit_input: bool = False) -> DiffusionGenerator:
        """Return θ, initialised as a copy of φ (Algorithm 1), sharing this teacher's space.

        Override it for another kind of student: a subclass of `DiffusionGenerator`, or a smaller network.
        Training, loading and evaluation all create students here. θ's weights are those of its network; a
        published student is a restored teacher's new generator with these weights loaded.
        """
        return DiffusionGenerator(self.copy_network(), self.space, t_init, unit_input)

    def smaller_network(self, layers: int | None = None, width: int | None = None) -> Denoiser:
        """Return a network for a student that is smaller than φ, started from φ's weights.

        Args:
            layers: the number of φ's layers that it has, the first ones; all if None.
            width: its hidden width; φ's if None.

        Raises:
            InputError: there is no such network; the message begins with what is wrong.
        """
        raise InputError(f"students of {type(self).__name__} have their teacher's size")

    @classmethod
    def student_parameters(cls, options: Any, layers: int | None, width: int | None) -> int | None:
        """Return the number of parameters of that network, or None if it must be built to know."""
        return None

    def new_score_estimator(self) -> ScoreEstimator:
        """Return ψ, initialised as a copy of φ (Algorithm 1)."""
        return DiffusionScoreEstimator(self.copy_network())

    def copy_network(self) -> Denoiser:
        """Return a copy of φ; weights shared with the space (an embedding table) stay shared."""
        return copy_network(self.network, self.space)

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        """Return the pretraining loss.

        Raises:
            InputError: this teacher can be loaded but not trained here.
        """
        raise InputError(f"{type(self).__name__} cannot be pretrained here; give the path of a trained one")

    def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
        """Return pretraining's optimizers for parameters that the recipe's AdamW should not update.

        AdamW updates all other parameters that require grad. Warm-up and decay scale every learning rate
        alike, and gradients are clipped over all parameters together. State is checkpointed as tensors and
        numbers by parameter, as the optimizers of `torch.optim` keep it.

        Args:
            adam: AdamW's keywords as the recipe gives them: ``lr``, ``betas``, ``eps``, ``weight_decay``.
        """
        return ()

    def observe(self, observation: Mapping[str, Tensor]) -> None:
        """Learn from a finished pretraining step (the history of a loss-aware time sampler)."""

    def training_state(self) -> dict[str, Tensor]:
        """Return what `observe` has learned, for checkpoints."""
        return {}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `training_state` returned."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted foreign checkpoint.

    Attributes:
        teacher: the teacher, or what a student is rebuilt from, with the student's weights.
        report: lines that describe the conversion.
        student: of a student, its facts for the model folder: ``t_init``, ``unit_input``, ``calls``.
    """

    teacher: Teacher
    report: tuple[str, ...]
    student: Mapping[str, Any] | None = None
