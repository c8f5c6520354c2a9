"""The hooks a plugin can implement.

A plugin is a module in the entry-point group ``dlmone`` (or a file given with ``--plugin``) with any of
these functions marked ``@hookimpl``. Registration is lazy: names, targets and option models are strings,
so that listing plugins imports no torch. New arguments may be added to a hook at any time; an
implementation declares only those it uses (pluggy allows fewer).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pluggy

from dlmone.core.text.evaluator import Sample

hookspec = pluggy.HookspecMarker("dlmone")
hookimpl = pluggy.HookimplMarker("dlmone")


class Register(Protocol):
    """The argument of a ``register_*`` hook; call it once for every name the plugin offers."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        options: str | None = None,
        help: str = "",
        default: bool = False,
        fallback: bool = False,
    ) -> None:
        """Offer ``target`` (``package.module:Class``) under ``name``.

        ``options`` names the pydantic model (``package.module:Model``, ``extra="forbid"``) that the
        recipe's table is validated against before ``target`` is imported; without it the plugin takes
        no options. The class is constructed with the validated model: ``Class(options)``.

        ``default`` says that commands use it where no plugin of its kind is named: every such evaluator, and
        the first such sampler, selector and tokenizer (whose first option is then the text given).
        ``fallback`` says that an evaluator is used by default too where one of those is blind to the texts.
        """


@hookspec
def register_teachers(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Teacher`` (built with ``Teacher.build(options, examples)``)."""


@hookspec
def register_objectives(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Objective``."""


@hookspec
def register_evaluators(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Evaluator``."""


@hookspec
def register_data(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.DataSource``."""


@hookspec
def register_tokenizers(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.TokenizerBuilder``."""


@hookspec
def register_samplers(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Sampler``."""


@hookspec
def register_generators(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Generator`` that generate without a dlmone run (e.g. baselines)."""


@hookspec
def register_augmenters(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Augmenter``."""


@hookspec
def register_selectors(register: Register) -> None:
    """Offer subclasses of ``dlmone.core.Selector``."""


@hookspec
def register_converters(register: Register) -> None:
    """Offer functions ``convert(source: Path) -> Conversion`` for ``dlmone convert NAME DIR OUT``."""


@hookspec
def register_sample_readers(register: Register) -> None:
    """Offer subclasses of ``dlmone.registry.SampleReader``, for ``dlmone evaluate`` of other tools' files."""


@hookspec
def register_row_readers(register: Register) -> None:
    """Offer functions ``rows(path: Path) -> Iterator[Row]`` (`dlmone.registry.rows`), for ``generate -i``.

    Each is registered under the suffix of its files, as ``.csv``, and reads ``.csv.gz`` too.
    """


@hookspec
def register_models(register: Register) -> None:
    """Offer functions ``folder() -> Path`` that name a model folder, for ``dlmone generate NAME``."""


@hookspec
def register_exporters(register: Register) -> None:
    """Offer subclasses of ``dlmone.registry.Exporter``, for ``dlmone export MODEL OUT --to NAME``."""


@hookspec
def register_trackers(register: Register) -> None:
    """Offer subclasses of ``dlmone.registry.Tracker``, for ``[trackers]`` and ``--track NAME``."""


@hookspec
def run_started(run_dir: Path, recipe: Mapping[str, Any]) -> None:
    """Called once before any training, with the run directory and the resolved recipe."""


@hookspec
def step_finished(stage: str, step: int, metrics: Mapping[str, Any]) -> None:
    """Called after each logged step, with the object appended to ``metrics.jsonl``."""


@hookspec
def validation_sampled(stage: str, step: int, samples: Sequence[Sample]) -> None:
    """Called after each validation with its samples, those of the weights that are compared."""


@hookspec
def checkpoint_saved(stage: str, step: int, path: Path) -> None:
    """Called once a checkpoint is on the disk; training may be some steps further."""


@hookspec
def evaluation_finished(stage: str, step: int, scores: Mapping[str, float]) -> None:
    """Called after each validation and after the final evaluation (``stage`` is then ``"final"``)."""


@hookspec
def run_finished(run_dir: Path) -> None:
    """Called once, after the report has been saved."""


@hookspec
def run_ended(run_dir: Path, completed: bool) -> None:
    """Called last, also for a run that failed or was stopped (``completed`` is then False)."""
