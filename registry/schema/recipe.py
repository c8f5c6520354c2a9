"""The recipe as a whole."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ..fields.bounds import Batch, Threads, Updates
from ..fields.names import folder_name
from .evaluation import Evaluation
from .section import Section, in_order
from .slots import DataSlot, TrackerSlot
from .stage import Stage, StageName
from .teacher import TeacherSlot


class Compute(Section):
    """Device, precision, threads and microbatch."""

    #: auto, cpu, cuda or cuda:N; auto is a GPU where there is one.
    device: str = "auto"
    #: ``bfloat16`` is autocast, but for the difference of φ and ψ in θ's update, which is float32 always.
    #: ``auto`` is bfloat16 where the device multiplies it faster.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    #: CPU threads of each process; PyTorch's own choice by default.
    threads: Threads | None = None
    #: Examples computed at once, where a batch does not fit into memory; the whole batch by default.
    microbatch: Batch | None = None
    #: Share the weights, gradients and moments of all networks out over the processes of torchrun (FSDP2),
    #: where they don't fit on one device.
    shard: bool = False
    #: Compile the blocks of the networks in training with torch.compile, which takes the first steps some
    #: minutes; their dropout then draws other random numbers.
    compile: bool = False
    #: The run stops after more losses or gradients than this that were not finite.
    non_finite_limit: Updates = 100

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.compile and self.shard:
            raise ValueError("compile and shard can't be used together: set one of them to false")
        return self


class Recipe(Section):
    """A whole run: data, teacher, stages, evaluation."""

    #: The name that a run directory begins with.
    name: Annotated[str, AfterValidator(folder_name)]
    #: One line, shown by `dlmone recipes`.
    description: str = ""
    #: What a reader of its numbers should know, printed when a run starts and ends.
    note: str = ""
    #: Seed of everything random in training.
    seed: int = 0
    #: Where the examples come from.
    data: DataSlot
    #: The teacher φ.
    teacher: TeacherSlot
    #: The stages of distillation by name; none trains a teacher alone.
    stages: dict[StageName, Stage] = Field(default={})
    #: Stages that run before the others, which follow in the order of their sections.
    stage_order: tuple[str, ...] = ()
    #: The final evaluation.
    evaluation: Evaluation
    #: Device, precision, threads and microbatch.
    compute: Compute = Compute()
    #: Tools that follow the run. They change nothing in it, and may differ when it is resumed.
    trackers: dict[str, TrackerSlot] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, section: Any) -> Any:
        return in_order(section, "stages", "stage_order")
