"""Where samples come from, and the part of a score's signature that says so.

An evaluator's signature defines the number; who wrote the texts, and how, only their file knows. A whole
signature is both, joined here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from dlmone.core.evaluator import Score
from dlmone.registry import Registry
from dlmone.registry.schema import Slot

#: The versions that a draw can depend on.
WRITERS = ("dlmone", "torch")
#: How a student samples by itself: it re-noises its own output.
RENOISING = "re-noising"
#: The augmenter of conditions that stay as they are.
UNVARIED = "none"
#: Which candidate is scored where none is selected.
FIRST = "first"


class Provenance(BaseModel):
    """How samples were written; what is not known is None.

    Attributes:
        model: the first 12 hexadecimal digits of the SHA-256 of ``model.safetensors``.
        sampler: how the model writes in several steps, with its options.
        steps: that were asked for.
        augment: how conditions were varied for each candidate, with its options; ``none`` if they were not.
        calls: network calls that one candidate took (NFE).
        selector: which of the candidates was kept, where one was (``mbr-10/bleu``: of ten).
        drawn: how many candidates there were to keep one of.
        seeds: of the draws.
        precision: kind of device and dtype, as ``cpu float32``. Older files call it ``arithmetic``.
        versions: of the libraries that wrote them.
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
        """Return that of samples written by this installation; ``more`` are further fields."""
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
            drawn: how many candidates of each sample there are.
            selector: which of them is scored. Where the writer kept only one, the writer's is said too.
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


#: That of a file which does not say.
UNKNOWN = Provenance()


def signed(scores: Iterable[Score], samples: str) -> list[Score]:
    """Return scores whose signatures say all that changes them; ``samples`` is `Provenance.signature`'s."""
    return [replace(score, signature=f"{score.signature}|{samples}") for score in scores]


def describe_plugin(registry: Registry, slot: Slot) -> str:
    """Return a plugin's name with the options that are not its defaults, as ``ddim(eta=0.5)``."""
    options = registry.options(slot.kind, slot.use, slot.options)
    changed = options.model_dump(mode="json", exclude_defaults=True)
    words = ",".join(f"{key}={value}" for key, value in changed.items())
    return f"{slot.use}({words})" if words else slot.use


def _ranges(seeds: Iterable[int]) -> str:
    """Write numbers in order, runs of them as their ends: ``101-103,110``; ``none`` where there are none."""
    runs = groupby(enumerate(sorted(seeds)), key=lambda place: place[1] - place[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ends) or "none"
