"""Hold the template of ``dlmone plugins new``."""

SKELETON = '''\
"""A dlmone plugin in one file: the objective `NAME`.

    dlmone run RECIPE --plugin NAME.py --set stages.*.objectives.score.use=NAME

To share it, make it a package with an entry point in the group "dlmone" that names this module.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from dlmone.core import TEACHER, Noised, Objective, Request, StepContext, Term
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import Role
from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


class Options(BaseModel):
    """The objective's options in a recipe, with defaults. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    scale: float = Field(1.0, gt=0, description="multiplies the loss")


class NAME(Objective):
    """Pull θ's output e to the teacher's prediction from its noised version: ‖e − sg(f_φ(e_t))‖²."""

    def __init__(self, options: Options) -> None:
        self.scale = options.scale
        # An evaluation of the teacher at θ's noised output e_t, as a constant: no gradient flows through it.
        self.phi = Request(TEACHER, Noised())

    def requests(self, role: Role) -> Sequence[Request] | None:
        """List the evaluations read in each role. Each is computed once, shared by all objectives.

        Here the score estimator ψ has no term, so this objective needs no ψ.
        """
        return (self.phi,) if role == "generator" else None

    def generator_loss(self, step: StepContext) -> Term:
        """Return one loss per sample, [B], and values to log, [B] each."""
        # Gradient reaches θ through e_fake only: f_phi is a constant.
        f_phi = step[self.phi].x0
        distance_B = masked_mean((step.e_fake - f_phi) ** 2, step.mask)
        return Term(self.scale * distance_B, {"distance": distance_B.detach()})


@hookimpl
def register_objectives(register: Register) -> None:
    register(
        "NAME",
        f"{__name__}:NAME",
        options=f"{__name__}:Options",
        help="pull the generator to the teacher's prediction",
    )
'''
