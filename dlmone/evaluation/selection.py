"""Select one of several candidates, for each number of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlmone.core.contract import require
from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Evaluator, PairMetric, Sample
from dlmone.core.text.selection import Selector
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

from .provenance import describe_plugin
from .scoring import Row, drawn, score_row


@dataclass(frozen=True, slots=True)
class CandidateSelector:
    """A selector, with the metric by which it compares.

    Attributes:
        selector: the plugin.
        metric: the evaluator named by its ``utility``, if any.
        label: the name of both, with ``{k}`` for the number of candidates.
    """

    selector: Selector
    metric: PairMetric | None
    label: str

    @classmethod
    def of(
        cls,
        registry: Registry,
        slot: SelectorSlot,
        utility: Callable[[str], tuple[EvaluatorSlot, Evaluator]],
        where: str = "",
    ) -> CandidateSelector:
        """Create a selector and its metric.

        Args:
            registry: the plugins.
            slot: the selector.
            utility: returns the evaluator of a name, with its slot.
            where: the slot's key, for errors.

        Raises:
            InputError: the options are invalid, or the evaluator does not compare pairs of texts.
            PluginError: there is no such selector or evaluator.
        """
        selector: Selector = registry.create("selectors", slot, where)
        # Name the metric once, after the number of candidates.
        own = {key: value for key, value in slot.options.items() if key != "utility"}
        label = describe_plugin(registry, SelectorSlot.model_validate({"use": slot.use, **own})) + "-{k}"
        if not selector.utility:
            return cls(selector, None, label)
        by, metric = utility(selector.utility)
        if not isinstance(metric, PairMetric):
            raise InputError(f"{by.use} does not compare two texts, so it cannot select a candidate")
        return cls(selector, metric, f"{label}/{describe_plugin(registry, by)}")

    def name(self, candidates: int) -> str:
        """Return the label for a number of candidates, as ``mbr-10/bleu``."""
        return self.label.replace("{k}", str(candidates))

    def choose(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples with only their selected candidate."""
        return _chosen(samples, *self.picks(samples, [drawn(samples)]).values())

    def picks(self, samples: Sequence[Sample], sizes: Sequence[int] | None = None) -> dict[int, list[int]]:
        """Return the index of each sample's selected candidate, by the number of candidates selected from.

        Args:
            samples: with K candidates each.
            sizes: the numbers of candidates to select from; 1 to K if None.

        Raises:
            InputError: there are fewer candidates.
        """
        count = drawn(samples)
        if too_many := [size for size in sizes or () if size > count]:
            raise InputError(f"--k {too_many[0]}: there are {count} candidates per sample")
        picks_NK = np.asarray(self.selector.select(samples, self.metric))
        shape = (len(samples), count)
        fits = picks_NK.shape == shape and picks_NK.dtype.kind in "iu"
        fits = fits and bool(((picks_NK >= 0) & (picks_NK < np.arange(1, count + 1))).all())
        wanted = f"indices of candidates of shape {shape}, those of column k below k + 1"
        require(fits, self.selector, "select", wanted, picks_NK)
        return {size: picks_NK[:, size - 1].tolist() for size in sizes or range(1, count + 1)}

    def rows(
        self, row: Row, evaluators: Mapping[str, Evaluator], sizes: Sequence[int] | None = None
    ) -> Iterator[Row]:
        """Yield a row for each number of candidates; the selected one alone is scored.

        Args:
            row: what is selected from.
            evaluators: those that need more than one candidate score the set: they are left out.
            sizes: as for `picks`.
        """
        for size, picks in self.picks(row.samples, sizes).items():
            picked = replace(row, samples=_chosen(row.samples, picks), selector=self.name(size))
            picked = replace(picked, chosen_from=size, milliseconds=None)
            yield score_row(picked, evaluators)


def _chosen(samples: Sequence[Sample], picks: Sequence[int]) -> list[Sample]:
    return [
        replace(sample, candidates=(sample.candidates[index],))
        for sample, index in zip(samples, picks, strict=True)
    ]
