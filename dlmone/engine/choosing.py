"""Choosing one of several candidates, for each number of candidates that there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dlmone.core.errors import InputError
from dlmone.core.evaluator import Evaluator, PairMetric, Sample
from dlmone.core.selection import Selector
from dlmone.registry import Registry
from dlmone.registry.schema import EvaluatorSlot, SelectorSlot

from .provenance import described
from .scoring import Row, drawn, judged_row


@dataclass(frozen=True, slots=True)
class Chooser:
    """A selector with what it compares texts by.

    Attributes:
        selector: who chooses.
        metric: the evaluator that its ``utility`` names, if it names one.
        words: both in words, with ``{k}`` where the number of candidates belongs.
    """

    selector: Selector
    metric: Evaluator | None
    words: str

    @classmethod
    def create(
        cls,
        registry: Registry,
        slot: SelectorSlot,
        where: str,
        metric_slot: Callable[[str], EvaluatorSlot] = lambda name: EvaluatorSlot(use=name),
        known: Mapping[str, Evaluator] | None = None,
    ) -> Chooser:
        """Build what a slot names.

        Args:
            registry: where the plugins are.
            slot: the selector's.
            where: what it was given to, for the errors.
            metric_slot: gives the slot of the metric that the selector's ``utility`` names.
            known: evaluators that are there already, by name.

        Raises:
            InputError: the options are wrong, or the metric does not compare texts.
            PluginError: a plugin is not there, or it cannot be used.
        """
        registry.entry("selectors", slot.use, where)
        selector: Selector = registry.create("selectors", slot, f"{where} {slot.use}")
        # The metric says by itself what the selector's option has said.
        options = {key: value for key, value in slot.options.items() if key != "utility"}
        words = described(registry, SelectorSlot.model_validate({"use": slot.use, **options})) + "-{k}"
        if selector.utility is None:
            return cls(selector, None, words)
        by = metric_slot(selector.utility)
        metric = (known or {}).get(by.use) or registry.create(
            "evaluators", by, f"{where} {slot.use}, {by.use}"
        )
        _comparing(metric, by.use)
        return cls(selector, metric, f"{words}/{described(registry, by)}")

    def name(self, candidates: int) -> str:
        """Return the choice among so many candidates in words, as ``mbr-10/bleu``."""
        return self.words.replace("{k}", str(candidates))

    def choose(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples with the candidate alone that is chosen among all of theirs."""
        picks = choices(samples, self.selector, self.metric, [drawn(samples)])
        return _chosen(samples, *picks.values())


def choices(
    samples: Sequence[Sample], selector: Selector, metric: Evaluator | None, sizes: Sequence[int] | None
) -> dict[int, list[int]]:
    """Return the index of the candidate that a selector chooses of each sample, by how many it may see.

    Args:
        samples: with K candidates each.
        selector: who chooses.
        metric: the evaluator that its ``utility`` names.
        sizes: the numbers of candidates that are asked for; 1 to K if None.

    Raises:
        InputError: there are fewer candidates, or the metric does not compare texts.
    """
    count = drawn(samples)
    if too_many := [size for size in sizes or () if size > count]:
        raise InputError(f"--k {too_many[0]}: there are {count} candidates a sample")
    by = None if metric is None else _comparing(metric, selector.utility)
    picks_NK = selector.select(samples, by)
    return {size: picks_NK[:, size - 1].tolist() for size in sizes or range(1, count + 1)}


def score_selected(
    row: Row, picks: Mapping[str, Sequence[int]], evaluators: Mapping[str, Evaluator]
) -> Iterator[Row]:
    """Yield a row for each choice of one candidate a sample, scored as if it alone had been drawn.

    Args:
        row: what is chosen from.
        picks: the index of the chosen candidate of each sample, by the selector's description.
        evaluators: those that need more than one candidate judge the set, not the choice: they are left out.
    """
    for selector, choice in picks.items():
        chosen = _chosen(row.samples, choice)
        yield judged_row(replace(row, samples=chosen, selector=selector, milliseconds=None), evaluators)


def _chosen(samples: Sequence[Sample], choice: Sequence[int]) -> list[Sample]:
    return [
        replace(sample, candidates=(sample.candidates[index],))
        for sample, index in zip(samples, choice, strict=True)
    ]


def _comparing(metric: Evaluator, name: str | None) -> PairMetric:
    if not isinstance(metric, PairMetric):
        raise InputError(f"{name} compares no two texts, so no candidate can be chosen by it")
    return metric
