"""Put a recipe together as far as this machine allows, and say what it would run and take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from dlmone.core import Codec, Example, Sketch, Split, Teacher
from dlmone.core.errors import InputError, MissingError
from dlmone.evaluation.blindness import blind, sentences, texts_given
from dlmone.generation.inference import collate_fitting
from dlmone.generation.readings import survey
from dlmone.models.folder import load_teacher
from dlmone.models.resolve import model_folder
from dlmone.registry import Registry, ResolvedRecipe
from dlmone.registry.explain import nearest_path
from dlmone.runtime.device import Compute
from dlmone.runtime.environment import other_work

from ..preflight import prepare, read_data, try_out
from ..teacher import new_teacher, saved_teacher
from .calibration import Costs, calibrate, from_operations, timed_rows
from .effort import measure, passes, stage_effort
from .plan import Plan
from .trial import run_trials

#: The networks of a stage with gradients, optimizer states and averages, in sizes of a network.
COPIES = 16
#: What is said of a memory that is that of a whole batch and whole networks.
SHARED = ", which the processes of torchrun share out (compute.shard)"


class RecipeSurvey:
    """A recipe put together as far as this machine allows; ``lacking`` says what does not.

    Raises:
        InputError: the recipe is wrong.
        PluginError: it names a plugin that cannot be used.
    """

    def __init__(self, registry: Registry, resolved: ResolvedRecipe) -> None:
        self.registry, self.recipe, self.profile = registry, resolved.recipe, resolved.profile
        self.lacking: list[str] = []
        self.splits = self._splits()
        self.prepared = prepare(self.recipe, registry, self.splits)
        self.objectives, self.evaluators = self.prepared.objectives, self.prepared.parts.evaluators
        self.teacher = self._saved()
        self.sketch = self._sketch()
        self.compute = self._compute()
        self._try_out()

    def plan(self) -> list[tuple[str, str]]:
        """Return what would be run."""
        recipe, table = self.recipe, self.recipe.evaluation
        sizes = [f"{len(examples):,} {name}" for name, examples in self.splits.items()]
        rows = [
            ("recipe", f"{recipe.name}, profile {self.profile}" if self.profile else recipe.name),
            ("data", f"{recipe.data.use}: {', '.join(sizes) or 'not there yet'}"),
            ("networks", self._networks()),
        ]
        rows += [(f"  student of {name}", size) for name, size in self._students().items()]
        for name, stage in recipe.stages.items():
            uses = ", ".join(f"{key} ({one.use})" for key, one in stage.objectives.items())
            rows.append((name, f"{stage.steps:,} steps of batch {stage.batch}: {uses}"))
        steps = ", ".join(map(str, table.teacher_steps))
        how = f"the teacher by {table.teacher_sampler.use} in {steps} steps"
        rows.append(("evaluation", f"{', '.join(self.evaluators)}; {how}"))
        if table.variants or table.select:
            rows.append(("  besides", ", ".join([*table.variants, *table.select])))
        return rows

    def estimate(self) -> list[tuple[str, str]]:
        """Return memory and time, nothing where the networks' size or the device is not known."""
        recipe, sketch, compute = self.recipe, self.sketch, self.compute
        if sketch is None or compute is None:
            return []
        efforts = {
            name: stage_effort(stage, self.objectives[name], sketch) for name, stage in recipe.stages.items()
        }
        costs = self._costs(sketch, compute)
        trials = {}
        if costs.measured and self.teacher is not None:
            train = self.splits["train"]
            trials = run_trials(recipe, self.registry, self.teacher, train, compute, costs, sketch)
        plan = Plan(recipe, sketch, efforts, costs, compute, trials)
        spans = plan.seconds({split: len(examples) for split, examples in self.splits.items()})
        made = {name: passes(stage, self.objectives[name], sketch) for name, stage in recipe.stages.items()}
        how = (
            "from iterations and passes that were run now"
            if costs.measured
            else "from the networks' size alone, so a rough one"
        )
        if costs.measured and (work := other_work()):
            how += f"; the machine is busy ({work}), so these took longer than they will alone"
        return [
            ("estimate", f"for {compute.describe()}, {how}"),
            ("  memory", f"about {plan.memory() / 2**30:.1f} GiB{SHARED if recipe.compute.shard else ''}"),
            *((f"  {name}", in_time(seconds) + in_passes(made.get(name))) for name, seconds in spans.items()),
            ("  total", in_time(sum(spans.values()))),
        ]

    def _costs(self, sketch: Sketch, compute: Compute) -> Costs:
        """Return what a pass takes: timed, or from operations where the teacher or its data are not here."""
        batches = [stage.batch for stage in self.recipe.stages.values()]
        batches += [self.recipe.teacher.pretrain.batch] if self.recipe.teacher.pretrain else []
        if self.teacher is None or not self.splits or not batches or not fits_memory(sketch):
            return from_operations(sketch, compute)
        rows = timed_rows(sketch, min(compute.microbatch or max(batches), max(batches)))
        batch, _ = collate_fitting(self.teacher.space, self.splits["train"][: 4 * rows])
        return (
            from_operations(sketch, compute)
            if batch is None
            else calibrate(self.teacher, batch[:rows], compute)
        )

    def notes(self) -> list[str]:
        """Return what the teacher does not keep of the data, and which metrics don't see their script."""
        found = []
        for name, examples in self.splits.items():
            if space := self._space():
                found += [f"{name} data: {note}" for note in survey(space, examples).notes]
        unseen = blind(self.evaluators, texts_given(self.splits.get("valid", ())))
        found += sentences(unseen)
        if unseen:
            there = {slot.use for slot in self.recipe.evaluation.metrics.values()}
            better = [name for name in self.registry.fallbacks("evaluators") if name not in there]
            found += [
                f"add a metric that does: --set evaluation.metrics.{name}.use={name}" for name in better
            ]
            found += [
                f"or let it: --set evaluation.metrics.{name}.tokenize={value}"
                for name in unseen
                for value in _tokenisers(self.registry, self.recipe.evaluation.metrics[name].use)
            ]
        return found

    def _space(self) -> Codec | None:
        """Return the teacher's space; None where there is no teacher yet."""
        return None if self.teacher is None else self.teacher.space

    def _splits(self) -> Mapping[Split, Sequence[Example]]:
        try:
            return read_data(self.recipe, self.registry)
        except MissingError as error:
            self.lacking.append(str(error))
            return {}

    def _saved(self) -> Teacher | None:
        """Return the teacher that the recipe loads, if it is here."""
        path = self.recipe.teacher.path
        if not path:
            return None
        try:
            return saved_teacher(self.recipe, self.registry)
        except MissingError:
            size = "its size is that of default options"
            self.lacking.append(f"The teacher {path} does not exist{nearest_path(path)}; {size}.")
            return None

    def _sketch(self) -> Sketch | None:
        """Return the size of the teacher: as it is, as its options say, or as its data make it."""
        if self.teacher is not None:
            return measure(self.teacher)
        slot = self.recipe.teacher
        family = self.registry.load("teachers", slot.use, "teacher")
        options = self.registry.options("teachers", slot.use, slot.options, "teacher")
        try:
            sketch: Sketch | None = family.sketch(options)
            if not slot.path and self.splits and (sketch is None or fits_memory(sketch)):
                self.teacher = new_teacher(self.recipe, self.registry, self.splits["train"])
                sketch = measure(self.teacher)
            return sketch
        except MissingError as error:
            self.lacking.append(str(error))
            return None

    def _compute(self) -> Compute | None:
        try:
            return Compute.start(self.recipe.compute)
        except MissingError as error:
            self.lacking.append(str(error))
            return None

    def _try_out(self) -> None:
        """Use everything once, where this machine has all that it takes."""
        if self.compute is None or self.teacher is None or not self.splits:
            return
        if self.sketch is None or not fits_memory(self.sketch):
            self.lacking.append("The networks do not fit into this machine's memory, so nothing was tried.")
            return
        teacher = self.teacher.to(self.compute.device)
        try_out(self.recipe, self.registry, self.prepared, teacher, self.compute)

    def _students(self) -> dict[str, str]:
        """Return the sizes of students that are smaller than the teacher, by stage.

        Raises:
            InputError: the teacher makes no student of such a size.
        """
        slot, sizes = self.recipe.teacher, {}
        for name, stage in self.recipe.stages.items():
            if not (given := stage.student.given):
                continue
            try:
                count = self._student_parameters(given)
            except InputError as error:
                raise InputError(f"stages.{name}.student: {error}") from None
            wanted = ", ".join(f"{key} {value}" for key, value in given.items())
            shown = "of unknown size yet" if count is None else f"{count:,} parameters"
            sizes[name] = f"{shown} ({wanted} of {slot.use}'s)"
        return sizes

    def _student_parameters(self, size: dict[str, int]) -> int | None:
        slot = self.recipe.teacher
        if slot.path:
            if not (Path(slot.path).expanduser().exists() or slot.path in self.registry.names("models")):
                return None
            teacher = load_teacher(model_folder(slot.path, self.registry), self.registry)
            return sum(one.numel() for one in teacher.smaller_network(**size).parameters())
        family = self.registry.load("teachers", slot.use, "teacher")
        options = self.registry.options("teachers", slot.use, slot.options, "teacher")
        count: int | None = family.student_parameters(options, size.get("layers"), size.get("width"))
        return count

    def _networks(self) -> str:
        which = "teacher, generator and score estimator" if self.recipe.stages else "teacher"
        if self.sketch is None:
            return f"{which}: of unknown size yet"
        network, space = self.sketch.network, self.sketch.space
        parts = f"{network + space:,} = network {network:,} + shared space {space:,}"
        return f"{which}: {in_short(network + space)} parameters each ({parts})"


def _tokenisers(registry: Registry, metric: str) -> list[str]:
    """Return the tokeniser for scripts of all kinds that a metric can be told to use, if there is one."""
    field = registry.options_model("evaluators", metric).model_fields.get("tokenize")
    known = get_args(field.annotation) if field else ()
    return [name for name in ("unicode", "char") if name in known][:1]


def fits_memory(sketch: Sketch) -> bool:
    """Tell whether a stage's networks fit into this machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return COPIES * 4 * (sketch.network + sketch.space) < memory


def in_short(count: int) -> str:
    """Format a number of parameters: 91.2M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


def in_time(seconds: float) -> str:
    """Format a rough duration: about 3 minutes."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"about {seconds / size:,.0f} {unit}"
    return f"about {seconds:,.0f} seconds"


def in_passes(passes: float | None) -> str:
    """Format the network passes of an iteration, nothing where there is none."""
    return "" if passes is None else f", {passes:g} network passes a sample and iteration"
