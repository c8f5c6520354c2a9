"""How exact d = f_φ − f_ψ and SiD's gradient at e are in each precision, while ψ moves away from φ.

    python benchmarks/precision.py                       # the installed model qqp-compact-teacher
    python benchmarks/precision.py FOLDER --seeds 3      # a teacher's folder

ψ starts as φ and is trained as in the paper (AdamW, β = (0, 0.999), lr 1e-5). After 0, 1, 10 and 50
updates d and the gradient of Eq. 4 are computed for a batch of a student that is still φ, and compared
with float64. TF32 is emulated: inputs of products are rounded to 10 bits of mantissa. Autocast is PyTorch's
own; a processor without bfloat16 instructions emulates it, slowly. All of it runs on the CPU.
"""

from __future__ import annotations

import copy
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import click
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dlmone.core import ESTIMATOR, TEACHER, Denoiser, ScoreEstimator, StepContext, Teacher, Term
from dlmone.core.step.losses import score_weight, sid_loss
from dlmone.models.folder import load_teacher
from dlmone.models.resolve import model_folder
from dlmone.plugins.questions.options import SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.plugins.sid.objective import SiD
from dlmone.plugins.sid.options import SiDOptions
from dlmone.registry import Registry
from dlmone.registry.schema import Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.runtime.precision import ieee_float32
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation

MU = 1.2  # Table 5, stage 1
UPDATES = (1, 10, 50)  # of ψ
FULL = Compute(torch.device("cpu"), bfloat16=False, world=World())
HALF = replace(FULL, bfloat16=True)
PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default}

#: The first row: how large d is.
SIZE = "d in float64, a share of e"

#: d at generated entries, and SiD's gradient at e.
Answer = tuple[Tensor, Tensor]


class TF32(TorchDispatchMode):
    """float32 sums of products whose inputs are rounded to TF32, as tensor cores compute them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PRODUCTS:
            args = [tf32(one) if isinstance(one, Tensor) else one for one in args]
        return func(*args, **(kwargs or {}))


def tf32(x: Tensor) -> Tensor:
    """Round float32 to the nearest number of 10 bits of mantissa."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class Float64(TorchFunctionMode):
    """Turns what asks for float32 into float64, for networks that name it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func = torch.Tensor.double if func is torch.Tensor.float else func
        args = [torch.float64 if one is torch.float32 else one for one in args]
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        return func(*args, **kwargs)


@dataclass(frozen=True)
class Seen:
    """What an update of θ was given and found."""

    context: StepContext
    phi: Denoiser
    psi: ScoreEstimator
    answer: Answer


class Probe(SiD):
    """SiD that remembers what an update of θ gave it."""

    context: StepContext
    d: Tensor

    def generator_loss(self, context: StepContext) -> Term:
        self.context = context
        return super().generator_loss(context)

    def match(self, e: Tensor, f_phi: Tensor, f_psi: Tensor, mask: Tensor, weight_B: Tensor) -> Tensor:
        self.d = ((f_phi - f_psi) * mask).detach().double()
        return super().match(e, f_phi, f_psi, mask, weight_B)


def by_hand(
    seen: Seen,
    forward: AbstractContextManager[object] | None = None,
    both: AbstractContextManager[object] | None = None,
    dtype: torch.dtype = torch.float32,
    change: Callable[[Denoiser], object] = lambda phi: None,
) -> Answer:
    """Evaluate φ and ψ where an update of θ did.

    Args:
        seen: the update, with its networks.
        forward: what the forward passes run within.
        both: what forward and backward passes run within.
        dtype: of weights and states.
        change: what is done to a copy of φ first.
    """
    context, phi, psi = seen.context, copy.deepcopy(seen.phi), copy.deepcopy(seen.psi).requires_grad_(False)
    change(phi)
    phi, psi = phi.to(dtype), psi.to(dtype).eval()
    space, batch, t_B, mask = context.space, context.fake, context.t_B, context.mask
    e = context.e_fake.detach().to(dtype).requires_grad_()
    epsilon = context.noise.normal("epsilon", space.state_shape).to(dtype)
    with both or nullcontext():
        with forward or nullcontext():
            e_t = space.pin(space.schedule.diffuse(e, t_B, epsilon), space.embed(batch).to(dtype), batch)
            f_phi, f_psi = phi.denoise(e_t, t_B, batch).x0, psi.estimate(e_t, t_B, batch).x0
        weight_B = score_weight("sid", e, f_phi, mask, context.alpha_B, context.sigma_B)
        (slope,) = torch.autograd.grad(sid_loss(e, f_phi, f_psi, mask, MU, weight_B).mean(), e)
    return ((f_phi - f_psi) * mask).detach().double(), (slope * mask).double()


def rounded(phi: Denoiser) -> None:
    """Round the linear weights to bfloat16, to be computed with in float32."""
    phi.to_precision(torch.bfloat16)
    phi.float()


WAYS: dict[str, Callable[[Seen], Answer]] = {
    "float32": by_hand,
    "TF32 (emulated)": lambda seen: by_hand(seen, both=TF32()),
    "bfloat16 autocast, weights float32": lambda seen: by_hand(seen, forward=HALF.autocast()),
    "bfloat16 weights of φ, products float32": lambda seen: by_hand(seen, change=rounded),
    "float32, backward within autocast": lambda seen: by_hand(
        seen, forward=torch.autocast("cpu", enabled=False), both=HALF.autocast()
    ),
    "dlmone, precision = bfloat16": lambda seen: seen.answer,
}


def updates(teacher: Teacher, batch: int, lr: float, seed: int) -> Iterator[tuple[int, Seen]]:
    """Train ψ and yield the updates of θ after `UPDATES` of ψ, made under ``precision = "bfloat16"``."""
    stage = Stage.model_validate(
        {
            "steps": max(UPDATES),
            "batch": batch,
            # DiffuSeq's 1490 and 1976 of Table 5, for a teacher with any schedule.
            "t_init": {"quantile": 0.745},
            "t_max": {"quantile": 0.988},
            "generator": {"lr": 1e-30},  # too low to change a number: θ stays φ
            "estimator": {"lr": lr},
            "objectives": {"score": {"use": "sid"}},
        }
    )
    tokenized = TokenizedExamples(teacher.space, QuestionsSource(SourceOptions()).split("train"))
    probe = Probe(SiDOptions(mu=MU))
    trained = Distillation("precision", stage, teacher, {"score": probe}, tokenized, FULL, seed)
    phi = cast(Denoiser, trained.networks[TEACHER])
    psi = cast(ScoreEstimator, trained.beside.modules[ESTIMATOR])
    start = copy.deepcopy(psi)
    for update in range(1, max(UPDATES) + 1):
        trained.compute = HALF if update in UPDATES else FULL
        trained.advance(norms=False)
        if update in UPDATES:
            slope = probe.context.e_fake.grad
            assert slope is not None
            found = probe.d, (slope * probe.context.mask).double()
            if update == 1:
                nothing = torch.zeros_like(found[0])
                yield 0, Seen(probe.context, phi, start, (nothing, nothing))
            yield update, Seen(probe.context, phi, psi, found)


def span(values: Sequence[float], form: str) -> str:
    """Return the mean, and the least and greatest of several values."""
    mean = format(statistics.mean(values), form)
    return mean if len(values) == 1 else f"{mean} ({min(values):{form}} to {max(values):{form}})"


@click.command(help=__doc__.partition("\n")[0])
@click.argument("model", default="qqp-compact-teacher")
@click.option("--batch", default=16, show_default=True, help="Examples of an update.")
@click.option("--lr", default=1e-5, show_default=True, help="ψ's learning rate (Table 5: 1e-5 and 3e-5).")
@click.option("--seeds", default=1, show_default=True, help="Runs, with seeds 0, 1, …")
@ieee_float32()
def main(model: str, batch: int, lr: float, seeds: int) -> None:
    registry = Registry.discover()
    columns: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in range(seeds):
        teacher = load_teacher(model_folder(model, registry), registry)
        for update, seen in updates(teacher, batch, lr, seed):
            d, slope = by_hand(seen, both=Float64(), dtype=torch.float64)
            size = float(d.norm())
            scale = float((seen.context.e_fake.detach() * seen.context.mask).norm())
            columns[f"{update}: d"][SIZE].append(size / scale)
            for name, way in WAYS.items():
                got_d, got_slope = way(seen)
                columns[f"{update}: d"][name].append(float((got_d - d).norm()) / (size or scale))
                if size:
                    cosine = torch.cosine_similarity(got_slope.flatten(), slope.flatten(), dim=0)
                    columns[f"{update}: gradient"][name].append(float(cosine))
    click.echo(f"{model}, batch {batch}, learning rate of ψ {lr:g}, {seeds} seeds: mean (least to greatest)")
    click.echo("by updates of ψ: error of d, a share of d (at 0: of e); cosine of the gradient at e\n")
    click.echo("| " + " | ".join(["", *columns]) + " |\n" + "|---" * (1 + len(columns)) + "|")
    for name in (SIZE, *WAYS):
        cells = [
            span(cell[name], ".3f" if "gradient" in column else ".2%") if cell[name] else ""
            for column, cell in columns.items()
        ]
        click.echo("| " + " | ".join([name, *cells]) + " |")


if __name__ == "__main__":
    main()
