"""plugins/langflow/sequence.py: θ learns the text that φ names."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from dlmone.core import GENERATOR, GeneratorInput, InputError, StepContext, Term
from dlmone.core.step.losses import masked_mean
from dlmone.core.step.request import merged
from dlmone.plugins.langflow.naming.options import ChainOptions
from dlmone.plugins.langflow.options import SequenceOptions
from dlmone.plugins.langflow.sequence import SequenceDistillation
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.testing import new_step, toy_teacher
from dlmone.testing.toy import EXAMPLES

from .small import teacher_of

CHAIN = {"weight": 0.7, "bonus": 0.3, "top_k": 4}


@pytest.fixture(scope="module")
def teacher() -> LangFlowTeacher:
    return teacher_of(conditional=True, pairs=50, chain=CHAIN).requires_grad_(False)


def term_of(teacher: Any, **options: Any) -> tuple[StepContext, Term]:
    objective = SequenceDistillation(SequenceOptions(**options))
    requests = objective.requests("generator")
    assert requests is not None
    assert objective.requests("estimator") is None
    step = new_step(teacher, "generator", requests)
    return step, objective.generator_loss(step)


def target_logits(teacher: LangFlowTeacher, step: StepContext) -> torch.Tensor:
    """φ's logits at θ's input, self-conditioned as φ is in distillation."""
    point = step.generator_input
    with torch.no_grad():
        logits_BLV = teacher.network.evaluate(point.e_t, point.t_B, step.fake, tokens=True).logits_BLV
    assert logits_BLV is not None
    return logits_BLV


@pytest.mark.parametrize("chain", ["model", None, {"weight": 0, "bonus": 2.0}])
def test_the_loss_by_hand(teacher: LangFlowTeacher, chain: Any) -> None:
    step, term = term_of(teacher, chain=chain)
    space, batch = teacher.space, step.fake
    own = (
        {"model": space.chain, None: None}.get(chain)
        if not isinstance(chain, dict)
        else ChainOptions(**chain)
    )
    tokens_BL = space.name_tokens(target_logits(teacher, step), batch, own, step.noise)
    point = step.generator_input
    with torch.no_grad():
        logits_BLV = step.generator.network.denoise(point.e_t, point.t_B, batch, tokens=True).logits_BLV
    assert logits_BLV is not None
    log_p_BLV = logits_BLV.log_softmax(-1)
    for row in range(len(batch)):
        nll = [
            -float(log_p_BLV[row, place, tokens_BL[row, place]])
            for place in batch.target_BL[row].nonzero()[:, 0].tolist()
        ]
        assert float(term.loss_B[row].detach()) == pytest.approx(sum(nll) / len(nll), rel=1e-5)


def test_its_gradient_trains_theta_alone(teacher: LangFlowTeacher) -> None:
    """θ's own logits are a leaf: the slope there is softmax − one-hot, and it reaches θ's parameters."""
    step, term = term_of(teacher)
    step.backward(term.loss_B.sum())
    trained = [p for p in step.generator.network.parameters() if p.grad is not None and p.grad.any()]
    assert len(trained) > 10
    assert all(p.grad is None for p in [*teacher.parameters(), *teacher.space.parameters()])
    slopes = [leaf.grad for leaf in step.leaves if leaf.grad is not None]
    assert len(slopes) == 1
    count_B = step.fake.target_BL.sum(1)
    assert torch.allclose(slopes[0].sum(-1), torch.zeros(()), atol=1e-6)
    given_BL = ~step.fake.target_BL
    assert not slopes[0][given_BL].any()
    tokens_BL = teacher.space.name_tokens(
        target_logits(teacher, step), step.fake, teacher.space.chain, step.noise
    )
    hit_BL = slopes[0].gather(2, tokens_BL[..., None])[..., 0]
    assert bool((hit_BL[~given_BL] < 0).all())
    assert bool((hit_BL > -1 / count_B[:, None]).all())


def test_another_models_tokens_are_the_likeliest() -> None:
    toy = toy_teacher()
    step, term = term_of(toy)
    point = step.generator_input
    with torch.no_grad():
        found = [
            network.evaluate(point.e_t, point.t_B, step.fake, tokens=True).logits_BLV
            for network in (toy.network, step.generator.network)
        ]
    assert found[0] is not None
    assert found[1] is not None
    nll_BL = functional.cross_entropy(found[1].transpose(1, 2), found[0].argmax(-1), reduction="none")
    torch.testing.assert_close(term.loss_B.detach(), masked_mean(nll_BL, step.fake.target_BL))
    with pytest.raises(InputError, match=r"^chain: only LangFlow names tokens by one"):
        term_of(toy, chain={"weight": 0})


def test_a_later_call_learns_from_where_it_starts(teacher: LangFlowTeacher) -> None:
    objective = SequenceDistillation(SequenceOptions(chain=None))
    requests = objective.requests("generator")
    assert requests is not None
    step = new_step(teacher, "generator", requests, calls=(3, 3))
    point, own = step.generator_input, step[objective.output].logits_BLV
    assert point.previous is not None, "what the student made before"
    target_BLV = point.denoise(teacher.network, tokens=True).logits_BLV
    assert own is not None
    assert target_BLV is not None
    nll_BL = functional.cross_entropy(own.detach().transpose(1, 2), target_BLV.argmax(-1), reduction="none")
    loss_B = objective.generator_loss(step).loss_B.detach()
    torch.testing.assert_close(loss_B, masked_mean(nll_BL, step.fake.target_BL))


def test_the_datas_texts_need_no_teacher(teacher: LangFlowTeacher) -> None:
    """The loss is φ's own of pretraining, at θ's time."""
    step, term = term_of(teacher, texts="data")
    batch, output = step.fake, step.point(GeneratorInput())
    assert [
        one.network for one in merged([SequenceDistillation(SequenceOptions(texts="data")).output]).values()
    ] == [GENERATOR]
    with torch.no_grad():
        logits_BLV = step.generator.network.denoise(output.e_t, output.t_B, batch, tokens=True).logits_BLV
    assert logits_BLV is not None
    nll_BL = functional.cross_entropy(logits_BLV.transpose(1, 2), batch.tokens_BL, reduction="none")
    torch.testing.assert_close(term.loss_B.detach(), masked_mean(nll_BL, batch.target_BL))
    texts = teacher.space.text(batch.tokens_BL, batch)
    assert texts == [example.target for example in EXAMPLES], "the references are in the batch"
