"""Export a one-step student as one static graph, for a runtime without dlmone."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlmone.core import Batch, Example, InputError, Noise, OneStepGraph, Space
from dlmone.core.step.noise import Draw
from dlmone.registry import Exporter, Registry
from dlmone.registry.schema import ExporterSlot
from dlmone.runtime.files import whole_folder, written_folder

from .configuration import CARD, fingerprint, read_config
from .folder import load_student, read_assets

GRAPH = "graph.json"
#: The condition of the exported example where none is given.
QUESTION = "how are you ?"


def export_graph(
    folder: Path, out: Path, registry: Registry, slot: ExporterSlot, example: str = QUESTION
) -> int:
    """Write a student's graph beside its tokenizer and card, and ``graph.json``, which describes them.

    ``graph.json`` names the file, its inputs, how the random ones are drawn, and its output. It holds an
    example with which a user of the graph can check their own code: a condition, its tokens, and what is
    generated from the draws of ``numpy.random.default_rng(0)``.

    Args:
        folder: a student's model folder.
        out: a folder that is not there yet.
        slot: the format.
        example: the example's condition; a model without conditions has none.

    Returns:
        The size of the folder in bytes.

    Raises:
        InputError: ``folder`` holds no student or can't read the example, ``out`` is there, or the format
            can't express the graph.
        PluginError: a plugin is missing or broken.
    """
    if out.exists():
        raise InputError(f"{out} is there already; remove it, or name another folder")
    config = read_config(folder)
    if config["role"] != "student":
        raise InputError(
            f"{folder}: holds a {config['role']}; only a student's one network call is one graph"
        )
    exporter: Exporter = registry.create("exporters", slot, "--to")
    graph = OneStepGraph(load_student(folder, registry)).eval()
    space = graph.generator.space
    condition = example if space.conditional else ""
    try:
        batch = space.collate([Example("0", condition, ""), Example("1", condition, "")])
    except InputError as error:
        reason = f"{folder}: this model can't read the example condition {condition!r} ({error})"
        raise InputError(f"{reason}; give one that it can with --example TEXT") from error
    rng = np.random.default_rng(0)
    drawn = {draw: _drawn(draw, rng) for draw in graph.generator.draws}
    generated = graph.generator.generate(batch, Noise((), made=drawn)).tokens_BL
    with written_folder(out, "the graph") as staging:
        inputs = (batch.tokens_BL, batch.target_BL, *drawn.values())
        file = exporter.write(graph, inputs, staging)
        for name, content in read_assets(folder).items():
            (staging / name).write_bytes(content)
        (staging / CARD).write_bytes((whole_folder(folder) / CARD).read_bytes())
        facts = {
            "dlmone_graph": 1,
            "file": file,
            "exporter": {"use": slot.use, **slot.options},
            "model": {"teacher": config["teacher"], "fingerprint": fingerprint(folder), **config["student"]},
            "inputs": {
                name: {
                    "type": str(tensor.dtype).removeprefix("torch."),
                    "shape": ["rows", *tensor.shape[1:]],
                    **({"draw": draw.kind} if draw else {}),
                }
                for name, tensor, draw in zip(graph.inputs, inputs, (None, None, *drawn), strict=True)
            },
            "output": OneStepGraph.OUTPUT,
            "longest_condition": _longest(space, condition),
            "example": _example(condition, batch[:1], generated[:1], space.text(generated[:1], batch[:1])[0]),
        }
        (staging / GRAPH).write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    return sum(path.stat().st_size for path in out.iterdir())


def _longest(space: Space, condition: str) -> int:
    """Return how many positions a condition has at most, its markers included."""
    if not space.conditional:
        return 0
    # The example again and again, word by word, or by characters where the script has no spaces.
    gap = " " if len(condition.split()) > 1 else ""
    units = cycle(condition.split() if gap else condition.strip())
    length = space.collate_conditions([Example("0", condition, "")]).tokens_BL.shape[1]
    text, longest = next(units), 0
    for _ in range(length):
        try:
            batch = space.collate_conditions([Example("0", text, "")])
        except InputError:  # a space that cuts none refuses those that are too long
            break
        longest = max(longest, int((~batch.target_BL).sum()))
        text += gap + next(units)
    return longest


def _drawn(draw: Draw, rng: np.random.Generator) -> torch.Tensor:
    """Return a draw for two rows, the same twice."""
    row = rng.standard_normal(draw.shape, np.float32) if draw.kind == "normal" else rng.random(draw.shape)
    return torch.from_numpy(np.stack([row, row]))


def _example(condition: str, batch: Batch, generated: torch.Tensor, text: str) -> dict[str, Any]:
    return {
        "source": condition,
        "tokens": batch.tokens_BL[0].tolist(),
        "target": batch.target_BL[0].tolist(),
        "draws": "one numpy.random.default_rng(0), inputs in order: standard_normal(shape of "
        "one row, float32) for a normal draw, random(shape of one row) for a uniform one",
        "generated": generated[0].tolist(),
        "text": text,
    }
