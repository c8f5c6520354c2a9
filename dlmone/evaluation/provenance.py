"""Record where samples come from, as a part of a score's signature.

An evaluator's signature defines the score; the sample file records which model sampled the texts, and how. A
full signature joins both. It is built only here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from dlmone.core.text.evaluator import Score
from dlmone.registry import Registry
from dlmone.registry.schema import Slot

#: The libraries whose versions samples can depend on.
WRITERS = ("dlmone", "torch")
#: A student's own sampling: it re-noises its output.
RENOISING = "re-noising"
#: Marks conditions without augmentation.
UNVARIED = "none"
#: The candidate that is scored without a selector.
FIRST = "first"


class Provenance(BaseModel):
    """How samples were generated; unknown fields are None.

    Attributes:
        model: the first 12 hexadecimal digits of the SHA-256 of ``model.safetensors``.
        sampler: the sampler for several steps, with its options.
        steps: the requested number of steps.
        augment: the augmenter of each candidate's condition, with its options; ``none`` without one.
        calls: network calls per candidate (NFE).
        selector: the selector, if one kept a single candidate (``mbr-10/bleu``: of ten).
        drawn: number of candidates before the selection.
        seeds: the seeds of sampling.
        precision: kind of device and dtype, as ``cpu float32``. Older files call it ``arithmetic``.
        versions: versions of the libraries used.
    """

    model_config = ConfigDict(frozen=True)

    model: str | None = None
    sampler: str | None = None
    steps: int | None = None
    augment: str | None = None
    calls: int | None = None
    selector: str | None = None
    drawn: int | None = None
    seeds: tuple[int, ...] | None = None
    precision: str | None = Field(default=None, validation_alias=AliasChoices("precision", "arithmetic"))
    versions: dict[str, str] | None = None

    @classmethod
    def here(
        cls, model: str, sampler: str, calls: int | None, seed: int, augment: str = UNVARIED, **more: Any
    ) -> Provenance:
        """Return the provenance of samples from this installation; ``more`` are further fields."""
        versions = {name: version(name) for name in WRITERS}
        known = {"model": model, "sampler": sampler, "augment": augment, "calls": calls, **more}
        return cls(**known, seeds=(seed,), versions=versions)

    def differs(self, other: Provenance, besides: Sequence[str] = ()) -> str:
        """Name the fields in which another differs; an empty string where there are none."""
        fields = [name for name in Provenance.model_fields if name not in besides]
        return ", ".join(name for name in fields if getattr(self, name) != getattr(other, name))

    def signature(self, drawn: int, selector: str = FIRST) -> str:
        """Return the fields that follow an evaluator's own in a score's signature.

        Args:
            drawn: number of candidates per sample.
            selector: the selector of the scored candidate. If the file kept one candidate only, its selector
                is named too.
        """
        if self.selector:
            selector = self.selector if selector == FIRST else f"{selector} of {self.selector}"
        versions = self.versions and ",".join(f"{name}-{number}" for name, number in self.versions.items())
        fields: dict[str, object] = {
            "model": self.model,
            "sampler": self.sampler,
            "augment": self.augment,
            "nfe": self.calls,
            "seed": self.seeds if self.seeds is None else _ranges(self.seeds),
            "drawn": self.drawn or drawn,
            "selector": selector,
            **({"precision": self.precision} if self.precision else {}),
            "written_by": versions or None,
        }
        return "|".join(f"{key}:{'unknown' if value is None else value}" for key, value in fields.items())


#: The provenance of a file that records none.
UNKNOWN = Provenance()


def signed(scores: Iterable[Score], samples: str) -> list[Score]:
    """Return scores with full signatures; ``samples`` is the result of `Provenance.signature`."""
    return [replace(score, signature=f"{score.signature}|{samples}") for score in scores]


def describe_plugin(registry: Registry, slot: Slot) -> str:
    """Return a plugin's name with its non-default options, as ``ddim(eta=0.5)``."""
    options = registry.options(slot.kind, slot.use, slot.options)
    changed = options.model_dump(mode="json", exclude_defaults=True)
    words = ",".join(f"{key}={value}" for key, value in changed.items())
    return f"{slot.use}({words})" if words else slot.use


def _ranges(seeds: Iterable[int]) -> str:
    """Format sorted numbers with ranges, as ``101-103,110``; ``none`` if there are none."""
    runs = groupby(enumerate(sorted(seeds)), key=lambda place: place[1] - place[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ends) or "none"
