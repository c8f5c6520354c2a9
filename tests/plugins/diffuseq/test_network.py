"""DiffuSeq's network and BERT's encoder: official outputs, precision, and the paths attention takes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import Batch
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.bert.dropout import Dropout
from dlmone.plugins.bert.encoder import SelfAttention
from dlmone.plugins.diffuseq.network import DiffuSeqNetwork, sinusoid

DATA = Path(__file__).parents[2] / "data" / "diffuseq"
OFFICIAL = load_file(DATA / "forward.safetensors")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
SQRT = discrete_schedule("sqrt", 2000)
BATCH = Batch(tuple("abcd"), OFFICIAL["input_ids"], OFFICIAL["input_mask"].bool())


def loaded(file: str, width: int, feedforward: int, dropout: float = 0.0) -> DiffuSeqNetwork:
    network = DiffuSeqNetwork(
        SQRT,
        hidden_dim=16,
        hidden_t_dim=32,
        width=width,
        layers=2,
        heads=2,
        feedforward=feedforward,
        dropout=dropout,
        attention_dropout=dropout,
        max_positions=40,
    )
    weights = load_file(DATA / file)
    network.load_state_dict({key: weights[key] for key in network.state_dict()})
    return network


@pytest.fixture(scope="module")
def network() -> DiffuSeqNetwork:
    return loaded("small_model.safetensors", 64, 128)


def close(ours: Tensor, theirs: str) -> None:
    torch.testing.assert_close(ours, OFFICIAL[theirs], **TOLERANCE)


def test_every_stage_of_the_forward_pass_is_the_official_one(network: DiffuSeqNetwork) -> None:
    x_BLD, t_B = OFFICIAL["x_t"], OFFICIAL["t"]
    close(sinusoid(OFFICIAL["t_scaled"].float(), 32), "timestep_embedding")
    close(network.embed_time(t_B, network.time_embed), "time_embed_out")
    close(network.input_up_proj(x_BLD), "input_up_proj_out")
    h_BLH = network.encoder_input(x_BLD, t_B)
    close(h_BLH, "encoder_input")
    close(network.input_transformers.layer[0](h_BLH), "encoder_layer0_out")
    for wanted in ({"features": True}, {"layers": (0, 1)}):
        answer = network.denoise(x_BLD, t_B, BATCH, **wanted)
        close(answer.features_BNH, "encoder_out")
        close(answer.x0, "model_output")
        assert answer.feature_mask_BN is BATCH.target_BL
    close(answer.layers[0], "encoder_layer0_out")
    assert torch.equal(answer.layers[1], answer.features_BNH)


def test_the_forward_diffusion_is_the_official_one() -> None:
    e_BLD, noise_BLD, t_B = OFFICIAL["embeds"], OFFICIAL["noise"], OFFICIAL["t"]
    x_BLD = SQRT.diffuse(e_BLD, t_B, noise_BLD)
    close(x_BLD, "x_t_nomask")
    close(torch.where(BATCH.target_BL[..., None], x_BLD, e_BLD), "x_t")


def test_an_encoder_as_wide_as_the_embeddings_has_no_projections() -> None:
    network = loaded("small_model_noproj.safetensors", 16, 32)
    assert not any("proj" in key for key in network.state_dict())
    close(network.denoise(OFFICIAL["x_t"], OFFICIAL["t"], BATCH).x0, "model_output_noproj")


def test_an_odd_sinusoid_ends_in_zero() -> None:
    assert sinusoid(torch.tensor([3.0]), 5).shape == (1, 5)
    assert sinusoid(torch.tensor([3.0]), 5)[0, -1] == 0


def test_bfloat16_stays_near_and_answers_in_float32(network: DiffuSeqNetwork) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        answer = network.denoise(OFFICIAL["x_t"], OFFICIAL["t"], BATCH, features=True)
    assert answer.x0.dtype == torch.float32
    assert answer.features_BNH.dtype == torch.bfloat16
    error_BLD = answer.x0 - OFFICIAL["model_output"]
    assert error_BLD.square().mean().sqrt() < 0.02 * OFFICIAL["model_output"].square().mean().sqrt()


def test_weights_cast_once_answer_as_under_autocast(network: DiffuSeqNetwork) -> None:
    """What an engine may do to a frozen network, sparing `float32_modules`."""
    cast = loaded("small_model.safetensors", 64, 128)
    kept = {part for name in cast.float32_modules for part in cast.get_submodule(name).modules()}
    for part in cast.modules():
        if isinstance(part, torch.nn.Linear) and part not in kept:
            part.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        answers = [each.denoise(OFFICIAL["x_t"], OFFICIAL["t"], BATCH).x0 for each in (network, cast)]
    torch.testing.assert_close(*answers)


def test_both_attentions_agree_with_and_without_gradients() -> None:
    torch.manual_seed(0)
    attention, h_BLH = SelfAttention(32, 4, dropout=0.1).eval(), torch.randn(2, 200, 32)
    plain = attention(h_BLH)
    with torch.no_grad():
        fused = attention(h_BLH)
    torch.testing.assert_close(plain, fused, atol=1e-6, rtol=1e-5)


def test_dropout_drops_its_rate_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    ones = torch.ones(400, 501)  # not a multiple of the draws in a word
    dropped = Dropout(0.1)(ones)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.003)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.003)
    torch.manual_seed(0)
    torch.testing.assert_close(Dropout(0.1)(ones), dropped, rtol=0, atol=0)
    assert Dropout(0.1).eval()(ones) is ones
    assert Dropout(0.0)(ones) is ones


def test_dropout_passes_on_the_gradient_of_what_it_kept() -> None:
    x = torch.randn(64, 64).requires_grad_()
    y = Dropout(0.5)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y != 0) * 2.0)


def test_training_mode_is_random_and_follows_the_seed() -> None:
    network = loaded("small_model.safetensors", 64, 128, dropout=0.1).train()

    def answer(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return network.denoise(OFFICIAL["x_t"], OFFICIAL["t"], BATCH).x0

    torch.testing.assert_close(answer(1), answer(1), rtol=0, atol=0)
    assert not torch.allclose(answer(1), answer(2))


def test_the_released_configuration_has_the_released_tensors() -> None:
    """Names, order and shapes of the network's part of the 211 entries; the space's part is the rest."""
    released = {
        entry["key"]: entry["shape"]
        for entry in json.loads((DATA / "released_state_dict_keys.json").read_text())
    }
    with torch.device("meta"):
        network = DiffuSeqNetwork(
            SQRT, hidden_dim=128, hidden_t_dim=128, width=768, layers=12, heads=12, feedforward=3072
        )
    ours = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert ours.items() <= released.items()
    assert list(ours) == [key for key in released if key in ours]
    space = {"word_embedding.weight", "lm_head.bias"}
    assert released.keys() - ours.keys() == space | {"lm_head.weight", "position_ids"}
    counted = sum(tensor.numel() for tensor in network.parameters()) + 30522 * 128 + 30522
    assert counted == 91_225_274
