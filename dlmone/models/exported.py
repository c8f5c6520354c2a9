"""Run a student's exported graph where its own generator runs: to compare answers and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from dlmone.core import Batch, DiffusionGenerator, Generated, Generator, InputError, Noise, Space
from dlmone.registry import Exporter, Registry, RunGraph
from dlmone.registry.explain import mistakes
from dlmone.registry.schema import ExporterSlot
from dlmone.registry.short import slot_of
from dlmone.runtime.parsing import parse_json

from .configuration import fingerprint
from .folder import load_student
from .graph import GRAPH


class ExportedGenerator(Generator):
    """A student's one network call by its exported graph, which embeds and decodes too.

    Args:
        student: for its texts, and for what it draws, alone.
        run: the loaded graph.
    """

    space: Space
    refines = False

    def __init__(self, student: DiffusionGenerator, run: RunGraph) -> None:
        super().__init__()
        self.space = student.space
        self.draws = student.draws
        self.network = _Graph(run)

    @torch.no_grad()
    def generate(
        self, batch: Batch, noise: Noise, steps: int = 1, earlier: Sequence[Tensor] = ()
    ) -> Generated:
        drawn = [noise.get(draw) for draw in self.draws]
        return Generated(self.network(batch.tokens_BL, batch.target_BL, *drawn), calls=1)


class _Graph(nn.Module):
    def __init__(self, run: RunGraph) -> None:
        super().__init__()
        self._run = run

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._run(*inputs)


@dataclass(frozen=True, slots=True)
class Exported:
    """A loaded graph: its generator, the precision of its weights, its file, and the runtime that runs it."""

    generator: ExportedGenerator
    precision: str
    file: Path
    runtime: str


class _Model(BaseModel):
    fingerprint: str


class _Facts(BaseModel):
    """What is read of ``graph.json``."""

    dlmone_graph: Literal[1]
    file: str
    exporter: dict[str, Any]
    model: _Model


def load_exported(folder: Path, students: Sequence[Path], registry: Registry, threads: int) -> Exported:
    """Load the graph that `export_graph` wrote from one of the students.

    Args:
        folder: what ``dlmone export --to`` wrote.
        students: model folders, one of which it was exported from.
        registry: provides the exporter, which brings the runtime, and the student's space.
        threads: of the CPU.

    Raises:
        InputError: the folder holds no graph or another model's, or the graph can't be run here.
        PluginError: the exporter or the teacher's plugin is not installed.
    """
    place = folder / GRAPH
    try:
        facts = _Facts.model_validate(parse_json(place.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"{folder}: it has no {GRAPH}; dlmone export MODEL OUT --to writes it") from None
    except ValidationError as error:
        raise InputError(f"{place}: {mistakes(error)}") from None
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None
    student = next((one for one in students if fingerprint(one) == facts.model.fingerprint), None)
    if student is None:
        raise InputError(f"{folder}: a graph of another model than {' or '.join(map(str, students))}")
    exporter: Exporter = registry.create(
        "exporters", slot_of(ExporterSlot, facts.exporter, registry, str(place)), str(place)
    )
    file = folder / Path(facts.file).name
    run = exporter.load(file, threads)
    runtime = f"{exporter.runtime} {version(exporter.runtime)}" if exporter.runtime else "its exporter"
    generator = ExportedGenerator(load_student(student, registry), run)
    return Exported(generator, exporter.precision, file, runtime)
