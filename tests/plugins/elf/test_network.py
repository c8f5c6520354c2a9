"""plugins/elf/network.py and transformer.py against the official network, and its released sizes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dlmone.core import Batch
from dlmone.plugins.elf.network import ElfNetwork
from dlmone.plugins.elf.options import ElfOptions, T5Sizes
from dlmone.plugins.elf.samplers import velocity
from dlmone.plugins.elf.teacher import ElfTeacher, encoder_size
from dlmone.plugins.elf.training.loss import noised
from dlmone.plugins.elf.transformer import rotation, sinusoid

Official = Callable[[str], dict[str, Tensor]]
BatchOf = Callable[..., Batch]
DATA = Path(__file__).parents[2] / "data" / "elf"
CPU = torch.device("cpu")


def close(found: Tensor, wanted: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def close_velocity(found: Tensor, wanted: Tensor) -> None:
    close(found, wanted, atol=1e-6 * float(wanted.abs().max()))


def hidden(network: ElfNetwork, f: dict[str, Tensor], previous: Tensor, mode: Tensor | None = None) -> Tensor:
    return network.hidden(torch.cat([f["z"], previous], -1), f["t"], f["w"], mode)[-1]


def test_the_path_is_official(small: ElfTeacher, official: Official) -> None:
    f = official("forward")
    close(noised(f["x0"], f["t"], f["noise"]), f["z"])
    # dlmone's time runs the other way.
    schedule = small.space.schedule
    close(schedule.diffuse(f["x0"], 1 - f["t"].double(), f["noise"]), f["z"])
    close(schedule.network_time(1 - f["t"].double()), f["t"], atol=0)


def test_x0_and_velocity_are_official(network: ElfNetwork, official: Official) -> None:
    f = official("forward")
    x = network.estimate(hidden(network, f, torch.zeros_like(f["z"])))
    close(x, f["x_uncond"])
    close_velocity(velocity(f["z"], x, f["t"]), f["v_uncond"])
    x = network.estimate(hidden(network, f, f["x_uncond"]))
    close(x, f["x_selfcond"])
    close_velocity(velocity(f["z"], x, f["t"]), f["v_selfcond"])


def test_the_contracts_call_is_the_official_one(
    network: ElfNetwork, official: Official, batch_of: BatchOf
) -> None:
    f = official("forward")
    batch = batch_of(torch.zeros(6, 24, dtype=torch.long))
    s_B = 1 - f["t"].double()
    close(network.denoise(f["z"], s_B, batch, guidance=f["w"]).x0, f["x_uncond"])
    answer = network.denoise(f["z"], s_B, batch, guidance=f["w"], previous=f["x_uncond"], features=True)
    close(answer.x0, f["x_selfcond"])
    assert answer.features_BNH is not None
    assert torch.equal(network.estimate(answer.features_BNH), answer.x0)
    one = network.denoise(f["z"], s_B, batch).x0
    ones = network.denoise(f["z"], s_B, batch, guidance=torch.ones(6)).x0
    assert torch.equal(one, ones)
    assert not torch.equal(one, answer.x0)


def test_the_decoding_mode_is_official(network: ElfNetwork, official: Official) -> None:
    f = official("forward")
    h = hidden(network, f, f["x_uncond"], torch.ones(6))
    close(network.estimate(h), f["x_decoder_mode_selfcond"])
    close(network.logits(h), f["logits_decoder_mode_selfcond"])
    h = hidden(network, f, f["x_uncond"], f["gate"])
    close(network.estimate(h), f["x_gated"])
    close(network.logits(h), f["logits_gated"])


def test_a_state_alone_is_read_without_self_conditioning(network: ElfNetwork, official: Official) -> None:
    f = official("forward")
    close(network.estimate(network.hidden(f["z"], f["t"], f["w"])[-1]), f["x_no_selfcond_half"])


def test_activations_are_official(network: ElfNetwork, official: Official) -> None:
    f, seen = official("forward"), {}
    watched = {
        "self_cond_proj_out": network.self_cond_proj,
        "text_proj_out": network.text_proj,
        "t_embedder_out": network.t_embedder,
        "sc_cfg_embedder_out": network.self_cond_cfg_embedder,
        "block0_attn_out": network.blocks[0].attn,
        "block0_q_norm_out": network.blocks[0].attn.q_norm,
        "block0_mlp_out": network.blocks[0].mlp,
        "block0_out": network.blocks[0],
        "last_block_out": network.blocks[-1],
    }

    def keep(name: str) -> Callable[..., None]:
        return lambda module, given, out: seen.update({name: out, f"{name} in": given[0]})

    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    hidden(network, f, torch.zeros_like(f["z"]))
    for hook in hooks:
        hook.remove()
    for name in watched:
        close(seen[name], f[f"act_{name}"])
    # The order of the tokens before the text shows here alone.
    close(seen["block0_out in"], f["act_block0_in"])


def test_embeddings_of_numbers_and_positions_are_official(official: Official) -> None:
    f = official("forward")
    close(sinusoid(f["t"]), f["sinusoid_t"], atol=1e-6)
    close(sinusoid(f["w"]), f["sinusoid_w"], atol=1e-6)
    cos, sin = rotation(24, 9, 8, CPU)
    close(cos, f["rope_cos"], atol=1e-6)
    close(sin, f["rope_sin"], atol=1e-6)
    for length in (128, 1024, 1088):
        cos, sin = rotation(length, 12, 64, CPU)
        close(cos[-16:], f[f"rope_cos_released_L{length}_last16"], atol=1e-6)
        close(sin[-16:], f[f"rope_sin_released_L{length}_last16"], atol=1e-6)


def test_tokens_are_read_officially(
    small: ElfTeacher, small_text: ElfTeacher, official: Official, batch_of: BatchOf
) -> None:
    d = official("decode")
    batch = batch_of(torch.zeros(4, 24, dtype=torch.long))
    x0 = small_text.space.embed(batch_of(official("encoder")["uncond_input_ids"]))
    close(x0 + 0.3 * d["noise"], d["z"])
    for w in (1, 3):
        close(small.network.read(d["z"], w), d[f"logits_w{w}"])
        tokens_BL, calls = small.network.decode(d["z"], batch, small.space, guidance=w)
        assert torch.equal(tokens_BL, d[f"ids_w{w}"])
        assert calls == 1
    assert torch.equal(small.network.decode(d["z"], batch, small.space)[0], d["ids_w1"])


def test_token_logits_leave_x0_as_it_is(network: ElfNetwork, official: Official, batch_of: BatchOf) -> None:
    f = official("forward")
    batch = batch_of(torch.zeros(6, 24, dtype=torch.long))
    s_B = 1 - f["t"].double()
    answer = network.denoise(f["z"], s_B, batch, tokens=True, layers=(0, 3))
    assert torch.equal(answer.x0, network.denoise(f["z"], s_B, batch).x0)
    assert answer.logits_BLV is not None
    assert torch.equal(answer.logits_BLV, network.read(f["z"]))
    assert torch.equal(network.estimate(answer.layers[3]), answer.x0)
    assert answer.layers[0].shape == (6, 24, 32)


def test_given_positions_are_their_own_estimate(
    small: ElfTeacher, official: Official, batch_of: BatchOf
) -> None:
    f, given_BL = official("forward"), torch.zeros(6, 24)
    given_BL[:, :5] = 1
    batch = batch_of(torch.zeros(6, 24, dtype=torch.long), given_BL)
    estimate = torch.zeros_like(f["z"])
    estimate[:, :5] = f["z"][:, :5]
    wanted = small.network.estimate(hidden(small.network, f, estimate))
    s_B = 1 - f["t"].double()
    assert torch.equal(small.network.denoise(f["z"], s_B, batch, guidance=f["w"]).x0, wanted)
    # What an earlier estimate says there makes no difference.
    moved = torch.where(batch.target_BL[..., None], 0.0, 7.0).expand_as(f["z"])
    found = small.network.denoise(f["z"], s_B, batch, guidance=f["w"], previous=moved).x0
    assert torch.equal(found, wanted)


RELEASED = json.loads((DATA / "released_state_dict_keys.json").read_text())


@pytest.mark.parametrize(
    ("name", "width", "layers", "heads"),
    [("ELF-B", 768, 12, 12), ("ELF-M", 1056, 24, 16), ("ELF-L", 1280, 32, 16)],
)
def test_released_sizes(name: str, width: int, layers: int, heads: int) -> None:
    options = ElfOptions(width=width, layers=layers, heads=heads)
    with torch.device("meta"):
        network = ElfNetwork(
            states=512, tokens=32100, width=width, layers=layers, heads=heads, bottleneck=options.bottleneck
        )
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == RELEASED[name]["parameters"]
    if name == "ELF-B":
        assert count == 104_579_940
        found = [
            [key, list(value.shape), str(value.dtype).removeprefix("torch.")]
            for key, value in network.state_dict().items()
        ]
        assert found == RELEASED[name]["state_dict"]


def test_the_sketch_is_that_of_what_is_built(small: ElfTeacher) -> None:
    sketch = ElfTeacher.sketch(ElfOptions())
    assert sketch is not None
    assert (sketch.network, sketch.space, sketch.positions, sketch.width) == (
        104_579_940,
        35_330_816,
        1088,
        768,
    )
    assert not sketch.takes_guidance, "self-conditioning guidance is an input without a condition alone"
    free = ElfTeacher.sketch(ElfOptions(source_length=None, condition_dropout=0))
    assert free is not None
    assert free.takes_guidance
    assert sum(p.numel() for p in small.space.parameters()) == encoder_size(small.sizes)
    for unknown in ({"encoder": "google-t5/t5-large"}, {"encoder": "random", "tokenizer": "words"}):
        assert ElfTeacher.sketch(ElfOptions.model_validate(unknown)) is None, "its files say how large it is"
    assert encoder_size(T5Sizes(feed_forward_proj="gated-gelu")) - encoder_size(T5Sizes()) == 6 * 512 * 2048


def test_a_second_time_starts_at_zero_and_is_not_read_with_the_tokens(
    small_of: Callable[..., ElfTeacher], official: Official, batch_of: BatchOf
) -> None:
    f, network = official("forward"), small_of().network
    batch = batch_of(torch.zeros(6, 24, dtype=torch.long))
    t_B, s_B = 1 - f["t"].double(), torch.linspace(0, 1, 6).double()
    before, logits = network.denoise(f["z"], t_B, batch).x0, network.read(f["x0"])
    network.add_second_time()
    network.add_second_time()
    assert torch.equal(network.denoise(f["z"], t_B, batch, s_B=s_B).x0, before)
    network.denoise(f["z"], t_B, batch, s_B=s_B).x0.square().sum().backward()
    last = network.second_t_embedder.mlp_2
    assert last.weight.grad is not None
    assert last.weight.grad.abs().max() > 0
    with torch.no_grad():
        last.weight.normal_()
        moved = network.denoise(f["z"], t_B, batch, s_B=s_B).x0
        assert not torch.equal(moved, before)
        close(network.denoise(f["z"][1:], t_B[1:], batch[1:], s_B=s_B[1:]).x0, moved[1:])
        plain, told = (network.denoise(f["z"], t_B, batch, **given).x0 for given in ({}, {"s_B": t_B}))
        assert torch.equal(plain, told), "without a second time it is the first"
        assert torch.equal(network.read(f["x0"]), logits)
