"""plugins/langflow/network/denoiser.py and transformer.py: official outputs, gradients and variants."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch
from dlmone.plugins.langflow.convert import official_name
from dlmone.plugins.langflow.network.denoiser import LangFlowNetwork
from dlmone.plugins.langflow.network.transformer import Block, modulated, rotate, sinusoid
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.training.loss import training_loss

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[[Tensor], Batch]
STATES = {"rtol": 0, "atol": 1e-5}
LOGITS = {"rtol": 0, "atol": 2e-5}


@pytest.mark.parametrize("times", ["a", "b"])
def test_logits_and_estimates_are_official(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf, times: str
) -> None:
    wanted = {key[2:]: value for key, value in official("forward").items() if key.startswith(f"{times}_")}
    batch, schedule = batch_of(official("forward")["input_ids"]), small.space.schedule
    t_B = schedule.time_of_gamma(wanted["gamma"])
    z = schedule.diffuse(small.space.embed(batch), t_B, official("forward")["noise"])
    torch.testing.assert_close(z, wanted["z"], **STATES)
    first = small.network.denoise(wanted["z"], t_B, batch, tokens=True)
    torch.testing.assert_close(first.logits_BLV, wanted["logits_first"], **LOGITS)
    torch.testing.assert_close(first.x0, wanted["x0_first"], **STATES)
    again = small.network.denoise(wanted["z"], t_B, batch, tokens=True, previous=wanted["x0_first"])
    torch.testing.assert_close(again.logits_BLV, wanted["logits_self"], **LOGITS)
    torch.testing.assert_close(again.x0, wanted["x0_self"], **STATES)
    both = small.network.evaluate(wanted["z"], t_B, batch)
    torch.testing.assert_close(both.x0, wanted["x0_self"], **STATES)
    assert small.network.passes == 2
    zeros = small.network.denoise(wanted["z"], t_B, batch, previous=torch.zeros_like(z))
    assert torch.equal(zeros.x0, first.x0)


def test_each_part_of_the_network_is_official(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf
) -> None:
    wanted, network = official("forward"), small.network
    batch = batch_of(wanted["input_ids"])
    torch.testing.assert_close(sinusoid(wanted["a_gamma"]), wanted["a_timestep_sinusoid"], **STATES)
    before_silu = network.sigma_map.mlp(sinusoid(wanted["a_gamma"]))
    torch.testing.assert_close(before_silu, wanted["a_sigma_map_out"], **STATES)
    c_BC = network.sigma_map(wanted["a_gamma"])
    h_BLD = network.read_in(wanted["a_z"], batch, wanted["a_x0_first"])
    torch.testing.assert_close(h_BLD - wanted["a_z"], wanted["a_self_cond_proj_out_self"], **STATES)
    block = network.blocks[0]
    assert isinstance(block, Block)
    shift_BD, scale_BD = block.adaLN_modulation(c_BC).chunk(6, dim=-1)[:2]
    u_BLD = modulated(block.norm1(h_BLD), shift_BD, scale_BD)
    torch.testing.assert_close(block.attn_qkv(u_BLD), wanted["a_block0_qkv_self"], **LOGITS)
    torch.testing.assert_close(block.attention(u_BLD), wanted["a_block0_attention_self"], **STATES)
    for name, part in (("block0_out", block), ("block1_out", network.blocks[1])):
        h_BLD = part(h_BLD, c_BC)
        torch.testing.assert_close(h_BLD, wanted[f"a_{name}_self"], **LOGITS)
    output = network.output_layer
    shift_BD, scale_BD = output.adaLN_modulation(c_BC).chunk(2, dim=-1)
    final_BLD = modulated(output.norm_final(h_BLD), shift_BD, scale_BD)
    torch.testing.assert_close(final_BLD, wanted["a_final_hidden_self"], **LOGITS)
    torch.testing.assert_close(output(h_BLD, c_BC), wanted["a_net_logits_self"], **LOGITS)
    t_B = small.space.schedule.time_of_gamma(wanted["a_gamma"])
    network_alone = network.predict(wanted["a_z"], t_B, batch, ramp=0).logits
    torch.testing.assert_close(network_alone, wanted["a_net_logits_first"], **LOGITS)
    answer = network.denoise(wanted["a_z"], t_B, batch, layers=(0,), previous=wanted["a_x0_first"])
    for layer, name in ((-1, "a_block1_out_self"), (0, "a_block0_out_self")):
        features_BLH, mask_BL = answer.features(layer)
        torch.testing.assert_close(features_BLH, wanted[name], **LOGITS)
        assert mask_BL.all()
    assert answer.logits_BLV is None


def test_the_gradient_to_the_state_is_official(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf
) -> None:
    wanted = official("forward")
    t_B = small.space.schedule.time_of_gamma(wanted["a_gamma"])
    z = wanted["a_z"].clone().requires_grad_()
    x0 = small.network.denoise(z, t_B, batch_of(wanted["input_ids"]), previous=wanted["a_x0_first"]).x0
    (slope,) = torch.autograd.grad(x0, z, wanted["noise"])
    torch.testing.assert_close(slope, wanted["a_x0_self_vjp_of_noise"], **LOGITS)


def test_clean_states_at_the_least_noise(
    small: LangFlowTeacher, official: Official, batch_of: BatchOf
) -> None:
    wanted = official("forward")
    batch = batch_of(wanted["input_ids"][:1])
    t_B = small.space.schedule.tensor(small.space.schedule.min_time, 1)
    logits_BLV = small.network.predict(small.space.embed(batch), t_B, batch).logits
    torch.testing.assert_close(logits_BLV, wanted["ids_without_times_logits"], rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("no_bias", "use_bias"),
        ("raw_embedding", "use_normalized_embedding"),
        ("no_self_conditioning", "self_conditioning"),
    ],
)
def test_variants_of_the_network_are_official(
    small_variant: Callable[..., LangFlowTeacher], official: Official, batch_of: BatchOf, name: str, key: str
) -> None:
    teacher, inputs, wanted = small_variant(**{key: False}), official("forward"), official("variants")
    t_B = teacher.space.schedule.time_of_gamma(inputs["a_gamma"])
    batch = batch_of(inputs["input_ids"])
    with torch.no_grad():
        z = teacher.space.schedule.diffuse(teacher.space.embed(batch), t_B, inputs["noise"])
        answer = teacher.network.denoise(z, t_B, batch, tokens=True)
    assert answer.logits_BLV is not None
    torch.testing.assert_close(answer.logits_BLV[:, :6], wanted[f"{name}_logits_first"], **LOGITS)
    torch.testing.assert_close(answer.x0, wanted[f"{name}_x0_first"], **STATES)
    assert teacher.network.self_conditioning == (key != "self_conditioning")


@pytest.mark.parametrize(("passes", "conditioned"), [("first", False), ("self", True)])
def test_losses_and_their_gradients_are_official(
    small_variant: Callable[..., LangFlowTeacher],
    official: Official,
    batch_of: BatchOf,
    passes: str,
    conditioned: bool,
) -> None:
    teacher, wanted = small_variant(), official("train")
    schedule, proposal = teacher.space.schedule, teacher.space.proposal
    t_B = schedule.time_of_gamma(wanted["gamma"])
    torch.testing.assert_close(
        proposal.surrogate_entropy(wanted["gamma"]), wanted[f"{passes}_surrogate_entropy"], **STATES
    )
    parts = training_loss(
        teacher.network,
        teacher.space,
        batch_of(wanted["input_ids"]),
        t_B,
        wanted["noise"],
        torch.full((4,), conditioned),
    )
    torch.testing.assert_close(parts.cross_entropy_B, wanted[f"{passes}_ce_per_sample"], **STATES)
    torch.testing.assert_close(parts.cross_entropy_B.mean(), wanted[f"{passes}_ce"], **STATES)
    torch.testing.assert_close(parts.schedule_B.mean(), wanted[f"{passes}_scheduler_loss"], **STATES)
    (parts.cross_entropy_B + parts.schedule_B).mean().backward()
    found = {official_name(name): parameter.grad for name, parameter in teacher.named_parameters()}
    for key, slope in official("train_grads").items():
        if key.startswith(f"{passes}."):
            torch.testing.assert_close(found[key.removeprefix(f"{passes}.")], slope, rtol=0, atol=1e-6)
    slopes = torch.stack([found[f"proposal.{name}"] for name in ("loc", "scale", "entropy")])
    torch.testing.assert_close(slopes, wanted[f"{passes}_scheduler_grad_loc_scale_entropy"], **STATES)


def test_rotation_keeps_what_two_positions_are_to_each_other() -> None:
    torch.manual_seed(0)
    q_d, k_d = torch.randn(2, 8, dtype=torch.float64)
    rotated_q, rotated_k = (rotate(x_d.expand(1, 1, 6, 8))[0, 0] for x_d in (q_d, k_d))
    scores = rotated_q @ rotated_k.T
    for offset in (-2, 0, 3):
        diagonal = scores.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-6, atol=1e-6)
    assert scores[0, 1] != pytest.approx(scores[1, 0].item(), abs=1e-3)


def test_networks_start_as_bayes_rule_alone(small: LangFlowTeacher) -> None:
    """Blocks, output and self-conditioning start at zero: the logits are log p(z | token) and a constant."""
    torch.manual_seed(0)
    space = small.space
    network = LangFlowNetwork(space, condition=8, layers=1, heads=2).eval()
    length, width = space.state_shape
    ids_BL = torch.randint(0, 200, (2, length))
    batch = Batch(("0", "1"), ids_BL, torch.ones_like(ids_BL, dtype=torch.bool))
    z, t_B = torch.randn(2, length, width), torch.tensor([0.2, 0.7], dtype=torch.float64)
    logits_BLV = network.predict(z, t_B, batch).logits.log_softmax(-1)
    alpha_B, sigma_B = space.schedule.alpha(t_B), space.schedule.sigma(t_B)
    means_BVD = alpha_B[:, None, None] * space.rows().double()
    squares_BLV = torch.cdist(z.double(), means_BVD).square()
    exact_BLV = (-squares_BLV / (2 * sigma_B[:, None, None] ** 2)).log_softmax(-1)
    torch.testing.assert_close(logits_BLV.double(), exact_BLV, rtol=0, atol=1e-4)
