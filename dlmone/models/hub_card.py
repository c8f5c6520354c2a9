"""The card of a model on the hub: its own text, under metadata that the hub reads.

The scores are those that a run's final evaluation gave these very weights.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dlmone.core import InputError
from dlmone.evaluation.results import Results

from .configuration import CARD, fingerprint, read_config

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

RECIPE, RESULTS = "recipe.toml", Path("report", "results.json")


def hub_card(
    folder: Path,
    name: str,
    *,
    licence: str | None = None,
    languages: Sequence[str] = (),
    datasets: Sequence[str] = (),
) -> str:
    """Return a model's card with metadata: library, tags, licence, languages, data, scores, and the recipe.

    Args:
        folder: a model folder; one inside a run directory has the run's scores and recipe.
        name: the model's name on the hub.
        licence: its identifier on the hub, e.g. ``apache-2.0``.
        languages: codes, e.g. ``en``.
        datasets: names on the hub of what it was trained on.

    Raises:
        InputError: the metadata are not as the hub wants them.
    """
    from huggingface_hub import ModelCard, ModelCardData

    config = read_config(folder)
    run = folder.parent if (folder.parent / RECIPE).is_file() else None
    recipe = (run / RECIPE).read_text(encoding="utf-8") if run else None
    table: dict[str, Any] = tomllib.loads(recipe) if recipe else {}
    text = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else f"# {name}\n"
    # A model that was pulled has metadata already; what is not given anew stays.
    known = ModelCard(text, ignore_metadata_errors=True) if text.startswith("---\n") else None
    before: dict[str, Any] = vars(known.data) if known else {}
    scores = list(_scores(folder, run, table)) if run else before.get("eval_results")
    try:
        data = ModelCardData(
            model_name=name,
            library_name="dlmone",
            pipeline_tag="text-generation",
            tags=["dlmone", "diffusion", f"dlmone-{config['role']}", config["teacher"]],
            license=licence or before.get("license"),
            language=list(languages) or before.get("language"),
            datasets=list(datasets) or before.get("datasets"),
            eval_results=scores or None,
        )
        header = data.to_yaml()
    except ValueError as error:
        raise InputError(f"the card's metadata are not as the hub wants them ({error})") from None
    own = known.text if known else text
    parts = [f"---\n{header.strip()}\n---", own.replace("generate PATH", f"generate hub:{name}").strip()]
    if recipe:
        parts.append(
            f"## Recipe\n\nSeed {table.get('seed')}; with all values:\n\n```toml\n{recipe.strip()}\n```"
        )
    return "\n\n".join(parts) + "\n"


def _scores(folder: Path, run: Path, recipe: dict[str, Any]) -> Iterator[EvalResult]:
    """Yield the scores of these weights, if the run has reached its final evaluation."""
    from huggingface_hub import EvalResult

    try:
        rows = Results.model_validate_json((run / RESULTS).read_bytes()).rows
    except (OSError, ValidationError):
        return
    weights, data = fingerprint(folder), str(recipe.get("data", {}).get("use", "unknown"))
    for row in rows:
        if row.provenance.model != weights:
            continue
        for score, found in row.scores.items():
            yield EvalResult(
                task_type="text-generation",
                dataset_type=data,
                dataset_name=data,
                dataset_split="test",
                metric_type=score,
                metric_name=f"{score}, {row.calls} calls, {row.selector} of {row.candidates}",
                metric_value=found.value,
                metric_config=found.signature,
            )
