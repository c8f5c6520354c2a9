"""Choosing one of several candidates, for each number of candidates that there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Evaluator, PairMetric, Sample
from dlmone.core.selection import Selector
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

from .provenance import describe_plugin
from .scoring import Row, drawn, score_row


@dataclass(frozen=True, slots=True)
class CandidateSelector:
    """Who chooses, and by what.

    Attributes:
        selector: the plugin.
        metric: what its ``utility`` names, if it names an evaluator.
        label: both in words, with ``{k}`` where the number of candidates belongs.
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
        """Make a selector and what it compares by.

        Args:
            registry: the plugins.
            slot: the selector.
            utility: returns the evaluator that goes by a name, with its slot.
            where: the slot's place, for errors.

        Raises:
            InputError: the options are wrong, or the evaluator compares no texts.
            PluginError: there is no such selector or evaluator.
        """
        selector: Selector = registry.create("selectors", slot, where)
        # By what it compares is said once, after the number of candidates.
        own = {key: value for key, value in slot.options.items() if key != "utility"}
        label = describe_plugin(registry, SelectorSlot.model_validate({"use": slot.use, **own})) + "-{k}"
        if not selector.utility:
            return cls(selector, None, label)
        by, metric = utility(selector.utility)
        if not isinstance(metric, PairMetric):
            raise InputError(f"{by.use} compares no two texts, so no candidate can be selected by it")
        return cls(selector, metric, f"{label}/{describe_plugin(registry, by)}")

    def name(self, candidates: int) -> str:
        """Return the choice among so many candidates in words, as ``mbr-10/bleu``."""
        return self.label.replace("{k}", str(candidates))

    def choose(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples with the candidate alone that is chosen among all of theirs."""
        return _chosen(samples, *self.picks(samples, [drawn(samples)]).values())

    def picks(self, samples: Sequence[Sample], sizes: Sequence[int] | None = None) -> dict[int, list[int]]:
        """Return the index of the candidate that is chosen of each sample, by how many are chosen from.

        Args:
            samples: with K candidates each.
            sizes: the numbers of candidates that are asked for; 1 to K if None.

        Raises:
            InputError: there are fewer candidates.
        """
        count = drawn(samples)
        if too_many := [size for size in sizes or () if size > count]:
            raise InputError(f"--k {too_many[0]}: there are {count} candidates a sample")
        picks_NK = self.selector.select(samples, self.metric)
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
