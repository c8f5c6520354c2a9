"""Pretraining by a teacher's own optimizers and losses: what they mean, and exact resume."""

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dlmone.core import Batch, InputError, Noise, PluginError, TrainingLoss
from dlmone.models.folder import publish
from dlmone.registry.schema import Pretrain
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World
from dlmone.testing import ToyTeacher, check_teacher
from dlmone.testing.toy import EXAMPLES, ToyOptions
from dlmone.training.pretraining import Pretraining
from dlmone.training.updates.optimizer import Optimizer

CONFIG = Pretrain.model_validate(
    {
        "steps": 10,
        "batch": 4,
        "warmup": 3,
        "ema": 0.9,
        "optimizer": {"lr": 0.02, "weight_decay": 0.01, "clip_norm": 1.0},
    }
)

ALONE = World()


class Muonised(ToyTeacher):
    """As ELF: Muon for matrices, Nesterov-Adam for the rest; and a baseline that its losses teach it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.baseline = torch.zeros(())

    def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
        matrices = [p for p in self.network.parameters() if p.dim() == 2]
        others = [p for p in self.network.parameters() if p.dim() != 2]
        muon = torch.optim.Muon(matrices, lr=10 * adam["lr"], weight_decay=adam["weight_decay"])
        return [muon, torch.optim.NAdam(others, **adam)]

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        loss_B = super().training_loss(batch, noise).loss_B * (1 + self.baseline)
        return TrainingLoss(loss_B, {"loss": loss_B.detach()}, {})

    def observe(self, observation: Mapping[str, Tensor]) -> None:
        self.baseline = 0.5 * self.baseline + 0.5 * observation["loss"].mean()

    def training_state(self) -> dict[str, Tensor]:
        return {"baseline": self.baseline}

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        self.baseline = state["baseline"]


class Weighted(ToyTeacher):
    """The mean over all generated tokens of the batch, as ELF's, instead of one over samples."""

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        answer = super().training_loss(batch, noise)
        weight_B = batch.target_BL.sum(1).double()
        return replace(answer, loss_B=answer.loss_B * weight_B, weight_B=weight_B)


class Coupled(ToyTeacher):
    """A loss of the batch: the spread of the samples' losses."""

    def training_loss(self, batch: Batch, noise: Noise) -> TrainingLoss:
        answer = super().training_loss(batch, noise)
        return replace(answer, loss_B=answer.loss_B.mean() + answer.loss_B.std(), batch_wide=True)


def pretraining(
    family: type[ToyTeacher],
    microbatch: int | None = None,
    config: Pretrain = CONFIG,
    world: World = ALONE,
) -> Pretraining:
    torch.manual_seed(0)
    compute = Compute(torch.device("cpu"), bfloat16=False, world=world, microbatch=microbatch)
    return Pretraining(family.build(ToyOptions(), EXAMPLES), config, EXAMPLES, compute, 0)


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("family", [Muonised, Weighted, Coupled, ToyTeacher])
def test_pretraining_resumes_exactly(family: type[ToyTeacher]) -> None:
    whole, first, second = (pretraining(family) for _ in range(3))
    for _ in range(6):
        expected = whole.advance(norms=False)
    for _ in range(3):
        first.advance(norms=False)
    second.load(first.checkpoint({}))
    for _ in range(3):
        found = second.advance(norms=False)
    assert found == expected
    for one, other in ((whole.teacher, second.teacher), (whole.average, second.average)):
        assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())
    states = whole.checkpoint({}).tensors, second.checkpoint({}).tensors
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_teachers_own_optimizers_update_as_they_would_alone() -> None:
    trained = pretraining(Muonised)
    alone = copy.deepcopy(trained.teacher)
    optimizers = alone.new_optimizers(lr=CONFIG.optimizer.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    for update in range(3):
        rate = (update + 1) / 3 * (1 - update / 10)
        for optimizer, peak in zip(optimizers, (0.2, 0.02), strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate
        batch = alone.space.collate([EXAMPLES[place] for place in trained.order[update]])
        keys = [(0, "pretrain", update, position) for position in range(4)]
        answer = alone.training_loss(batch, Noise(keys))
        answer.loss_B.mean().backward()
        nn.utils.clip_grad_norm_(alone.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        alone.observe(answer.observation)
        trained.advance(norms=False)
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(trained.teacher)[name], value, msg=name)
    moments = trained.checkpoint({}).tensors.keys()
    assert "optimizer/network.own.weight.momentum_buffer" in moments
    assert "optimizer/network.own.bias.exp_avg_sq" in moments


def test_adamw_updates_what_no_other_optimizer_does() -> None:
    class Partly(ToyTeacher):
        def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
            return [torch.optim.SGD([self.network.time_H], lr=adam["lr"], momentum=0.9)]

    trained = pretraining(Partly)
    before = weights(trained.teacher.network)
    trained.advance(norms=False)
    trained.advance(norms=False)
    after = weights(trained.teacher.network)
    # The toy's loss does not read its logits.
    assert [name for name, value in before.items() if torch.equal(value, after[name])] == ["words_VH"]
    kept = {name.removeprefix("network.") for name in trained.optimizer.state()}
    assert "time_H.momentum_buffer" in kept
    assert "time_H.exp_avg" not in kept
    assert "own.weight.exp_avg" in kept


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (lambda own: [[own.time_H], [own.time_H]], "two optimizers have network.time_H"),
        (lambda own: [[nn.Parameter(torch.ones(2, 3))]], r"a parameter of shape \(2, 3\) that is not among"),
    ],
    ids=["twice", "foreign"],
)
def test_parameters_that_belong_to_no_one_optimizer_are_refused(chosen: Any, sentence: str) -> None:
    class Confused(ToyTeacher):
        def new_optimizers(self, **adam: Any) -> Sequence[torch.optim.Optimizer]:
            return [torch.optim.SGD(part, lr=adam["lr"]) for part in chosen(self.network)]

    with pytest.raises(PluginError, match=sentence):
        pretraining(Confused)


class Counting(torch.optim.Optimizer):
    """Keeps what it is told to, where it is told to."""

    def __init__(self, parameters: Sequence[nn.Parameter], keep: Any) -> None:
        super().__init__(parameters, {"lr": 0.1, "made": 0})
        self.keep = keep

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                self.keep(group, self.state[parameter])
                parameter.data.add_(parameter.grad, alpha=-group["lr"])


def _count(group: dict[str, Any], state: dict[str, Any]) -> None:
    state["step"] = state.get("step", 0) + 1


def test_an_optimizers_plain_numbers_are_checkpointed_as_such() -> None:
    module = nn.Linear(2, 1)
    config = CONFIG.optimizer
    first, second = (Optimizer(module, config, [Counting([*module.parameters()], _count)]) for _ in range(2))
    first.step()
    second.load(first.state())
    assert second.optimizers[0].state[module.weight] == {"step": 1}
    assert type(second.optimizers[0].state[module.weight]["step"]) is int


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        (lambda group, state: group.update(made=group["made"] + 1), "changes made of its parameter groups"),
        (lambda group, state: state.update(trace=[1]), "keeps a list as 'trace'"),
    ],
    ids=["group", "list"],
)
def test_state_that_no_checkpoint_holds_is_refused(keep: Any, sentence: str) -> None:
    module = nn.Linear(2, 1)
    optimizer = Optimizer(module, CONFIG.optimizer, [Counting([*module.parameters()], keep)])
    optimizer.step()
    with pytest.raises(PluginError, match=sentence):
        optimizer.state()


def test_a_batch_wide_mean_weighs_samples_and_is_the_same_in_every_microbatch() -> None:
    whole, parts = pretraining(Weighted), pretraining(Weighted, microbatch=3)
    teacher = copy.deepcopy(whole.teacher)
    batch = teacher.space.collate([EXAMPLES[place] for place in whole.order[0]])
    answer = teacher.training_loss(batch, Noise([(0, "pretrain", 0, position) for position in range(4)]))
    assert answer.weight_B is not None
    assert len(answer.weight_B.unique()) > 1
    mean = answer.loss_B.sum() / answer.weight_B.sum()
    mean.backward()
    loss = float(mean.detach())
    expected = [parameter.grad for parameter in teacher.parameters()]
    seen: list[list[Tensor]] = []

    for trained in (whole, parts):
        step = trained.optimizer.step

        def noting(lr: float | None = None, trained: Pretraining = trained, step: Any = step) -> Tensor:
            seen.append([parameter.grad.clone() for parameter in trained.teacher.parameters()])
            return step(lr)

        trained.optimizer.step = noting
        logged = trained.advance(norms=False)
        assert logged["loss"] == pytest.approx(loss, rel=1e-6)
        assert "/weight" not in logged
    for found in seen:
        for gradient, right in zip(found, expected, strict=True):
            torch.testing.assert_close(gradient, right)


def test_a_loss_of_the_whole_batch_is_never_split() -> None:
    trained = pretraining(Coupled)
    teacher = copy.deepcopy(trained.teacher)
    batch = teacher.space.collate([EXAMPLES[place] for place in trained.order[0]])
    answer = teacher.training_loss(batch, Noise([(0, "pretrain", 0, position) for position in range(4)]))
    logged = trained.advance(norms=False)
    assert logged["loss"] == pytest.approx(answer.loss_B.item(), rel=1e-6)
    with pytest.raises(InputError, match=r"Coupled has one loss for the whole batch.*microbatch to 4"):
        pretraining(Coupled, microbatch=2).advance(norms=False)


class Normalised(Muonised):
    """Keeps the mean loss that it observed in a buffer of its network."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.network.register_buffer("mean_loss", torch.zeros(()))

    def observe(self, observation: Mapping[str, Tensor]) -> None:
        super().observe(observation)
        self.network.mean_loss.copy_(self.baseline)


def test_what_a_teacher_observes_reaches_the_teacher_that_is_published(tmp_path: Path) -> None:
    trained = pretraining(Normalised)
    for _ in range(3):
        trained.advance(norms=False)
    assert trained.teacher.network.mean_loss > 0
    publish(tmp_path / "teacher", trained.average, "toy", "teacher", "card")
    saved = load_file(tmp_path / "teacher" / "model.safetensors")
    assert saved["network.mean_loss"] == trained.teacher.network.mean_loss


def test_a_batch_wide_mean_is_the_same_on_two_processes(
    together: Callable[[int], list[World]],
) -> None:
    alone = pretraining(Weighted)
    expected = [alone.advance(norms=False) for _ in range(3)]
    shared = [pretraining(Weighted, world=world) for world in together(2)]
    with ThreadPoolExecutor(2) as pool:
        advance = [pool.submit(lambda one: [one.advance(False) for _ in range(3)], one) for one in shared]
        for process in advance:
            for found, right in zip(process.result(60), expected, strict=True):
                assert found == pytest.approx(right, rel=1e-5)
    for name, value in weights(alone.teacher).items():
        torch.testing.assert_close(weights(shared[1].teacher)[name], value, msg=name)


@pytest.mark.parametrize("family", [Muonised, Weighted, Coupled])
def test_the_contract_holds(family: type[ToyTeacher]) -> None:
    check_teacher(lambda: family.build(ToyOptions(), EXAMPLES), EXAMPLES)
