"""Hold the templates of ``dlmone plugins new``, in which NAME stands for the new plugin's name."""

OBJECTIVE = '''\
"""A dlmone plugin in one file: the objective `NAME`.

    dlmone run RECIPE --plugin NAME.py --set 'stages.*.objectives.score.use=NAME'

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

EVALUATOR = '''\
"""A dlmone plugin in one file: the evaluator `NAME`.

    dlmone evaluate SAMPLES --plugin NAME.py --metrics NAME
    dlmone run RECIPE --plugin NAME.py --set evaluation.metrics.NAME.use=NAME

To share it, make it a package with an entry point in the group "dlmone" that names this module.
"""

from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from dlmone.core import Evaluator, Sample, Score
from dlmone.core.text.evaluator import require_candidates
from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


class Options(BaseModel):
    """The evaluator's options in a recipe, with defaults. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    lowercase: bool = Field(True, description="whether case counts for nothing")


class NAME(Evaluator):
    """The share of the reference's words that the first candidate has, a mean over samples."""

    def __init__(self, options: Options) -> None:
        self.lowercase = options.lowercase

    def evaluate(self, samples: Sequence[Sample]) -> list[Score]:
        require_candidates(samples, "NAME")
        firsts, references = [s.candidates[0] for s in samples], [s.reference for s in samples]
        values = tuple(self.score_pairs(firsts, references))
        # All that changes the number stands in the signature. The provenance of the samples is added later.
        signature = f"metric:NAME|lowercase:{self.lowercase}"
        # Values by sample give the score its interval and its paired tests.
        return [Score("NAME", fmean(values), signature, "higher", per_sample=values)]

    def score_pairs(self, outputs: Sequence[str], references: Sequence[str]) -> list[float]:
        """Compare texts one by one: with this method selectors can choose a candidate by the metric."""
        return [self._share(*pair) for pair in zip(outputs, references, strict=True)]

    def _share(self, output: str, reference: str) -> float:
        said, wanted = self._words(output), self._words(reference)
        return len(said & wanted) / len(wanted) if wanted else float(not said)

    def _words(self, text: str) -> set[str]:
        return set((text.lower() if self.lowercase else text).split())


@hookimpl
def register_evaluators(register: Register) -> None:
    register(
        "NAME",
        f"{__name__}:NAME",
        options=f"{__name__}:Options",
        help="share of the reference's words",
    )
'''

#: By the kind that they register, in the singular.
SKELETONS = {"objective": OBJECTIVE, "evaluator": EVALUATOR}
