"""`dlmone.load`: a published model, ready to generate."""

from __future__ import annotations

import logging
from os import PathLike
from typing import Literal

from pydantic import ValidationError

from dlmone.core import DiffusionGenerator, InputError, SampledGenerator, Sampler, Teacher
from dlmone.evaluation.provenance import RENOISING, describe_plugin
from dlmone.registry import Registry
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.registry.schema import SamplerSlot
from dlmone.registry.short import slot_of
from dlmone.runtime.compilation import compile_call, require_compiler
from dlmone.runtime.device import Compute

from .configuration import fingerprint, read_config
from .folder import load_student, load_teacher
from .model import Model, PluginSpec
from .resolve import model_folder

_log = logging.getLogger(__name__)
#: Steps of a teacher where none are asked for: enough for a fair text, few enough to wait for.
TEACHER_STEPS = 20


def sampler_of(teacher: Teacher, registry: Registry) -> str:
    """Return the sampler of a teacher where none is named: the teacher's own choice, or the default.

    Raises:
        PluginError: the teacher makes no choice, and no sampler is installed that is used by default.
    """
    return teacher.default_sampler or registry.defaults("samplers")[0]


def load(
    path: str | PathLike[str],
    *,
    sampler: PluginSpec | None = None,
    device: str = "auto",
    precision: Literal["float32", "bfloat16", "auto"] = "float32",
    compile: bool = False,
    registry: Registry | None = None,
) -> Model:
    """Load the model in a model folder, a student or a teacher, ready to generate.

    Args:
        path: a model folder, a run directory, whose student is meant, or the name of an installed model.
        sampler: the sampler, as ``"ddim"``, ``"ddim:0.5"`` or ``{"use": "ddim", "eta": 0.5}``; if None, a
            student re-noises its own output, and a teacher takes its family's sampler.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        precision: ``float32``, in which outputs do not depend on the batch size; ``bfloat16`` autocast; or
            ``auto``, the faster one here.
        compile: compile a network call with torch.compile, on a GPU as a CUDA graph. The first call of
            each batch size takes its time for that, a minute or so.
        registry: where the plugins are; all installed ones if None.

    Raises:
        InputError: there is no model, it is broken, the device or a compiler is not there, or an option is
            wrong.
        PluginError: its family's plugin or the sampler is not installed.
    """
    registry = Registry.discover() if registry is None else registry
    folder = model_folder(path, registry)
    config = read_config(folder)
    role = config["role"]
    try:
        table = ComputeTable(device=device, precision=precision)
    except ValidationError as error:
        if error.errors()[0]["loc"] == ("device",):
            raise InputError(f"device: expected auto, cpu, cuda or cuda:N, got {device!r}") from None
        raise InputError(f"precision: expected float32, bfloat16 or auto, got {precision!r}") from None
    compute = Compute.of(table)
    generator: DiffusionGenerator | SampledGenerator
    if role == "student":
        generator, words = load_student(folder, registry), RENOISING
        steps = config["student"].get("calls", 1)
        if sampler is not None:
            generator.sampler, words = _sampler(registry, sampler)
    else:
        steps = TEACHER_STEPS
        teacher = load_teacher(folder, registry)
        by, words = _sampler(registry, sampler_of(teacher, registry) if sampler is None else sampler)
        generator = SampledGenerator(teacher.network, teacher.space, by)
    if compute.bfloat16:
        generator.network = compute.frozen_copy(generator.network)
    generator = generator.eval().to(compute.device)
    if compile:
        require_compiler(compute.device)
        compile_call(generator.network)
    model = Model(generator, role, fingerprint(folder), words, steps, compute, registry)
    _log.info("loaded %s: %s, %d steps by default", folder, str(model).strip("<>"), steps)
    return model


def _sampler(registry: Registry, sampler: PluginSpec) -> tuple[Sampler, str]:
    """Return a sampler, and its name with its options."""
    slot = slot_of(SamplerSlot, sampler, registry, "sampler")
    return registry.create("samplers", slot), describe_plugin(registry, slot)
