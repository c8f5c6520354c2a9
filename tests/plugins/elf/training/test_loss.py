"""plugins/elf/training/loss.py and muon.py: two official updates, with a condition and without."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dlmone.core import Batch, Example, Noise
from dlmone.plugins.elf.samplers import velocity
from dlmone.plugins.elf.schedule import logit_normal
from dlmone.plugins.elf.teacher import ElfTeacher
from dlmone.plugins.elf.training.loss import (
    DECODER_MEAN,
    DECODER_STD,
    Draws,
    guidance_scale,
    guided_velocity,
    training_loss,
)

Official = Callable[[str], dict[str, Tensor]]
SETTINGS = json.loads((Path(__file__).parents[3] / "data" / "elf" / "config.json").read_text())
KINDS = {"cond": "conditional", "uncond": "unconditional"}


def draws_of(f: dict[str, Tensor], step: int, conditional: bool) -> Draws:
    def named(name: str) -> Tensor:
        return f[f"step{step}_{name}"]

    return Draws(
        t_B=logit_normal(named("t_normal")),
        noise_BLD=named("noise"),
        decoded_B=named("decoder_active") > 0,
        signal_BL=logit_normal(named("decoder_lambda_normal").view(4, 24), DECODER_MEAN, DECODER_STD),
        decoder_noise_BLD=named("decoder_noise_normal"),
        conditioned_B=named("self_cond_uniform") < 0.5,
        w_B=guidance_scale(named("w_uniform")),
        kept_B=f["label_drop_mask"] == 0 if conditional else None,
    )


@pytest.mark.parametrize("kind", ["cond", "uncond"])
def test_two_updates_are_official(
    small_of: Callable[..., ElfTeacher], official: Official, batch_of: Callable[..., Batch], kind: str
) -> None:
    f, teacher = official(f"train_{kind}"), small_of(conditional=kind == "cond").train()
    batch = batch_of(f["input_ids"], f["cond_seq_mask"])
    assert torch.equal(teacher.space.valid(batch).float(), f["attention_mask"])
    parameters = dict(teacher.network.named_parameters())
    average = {name: value.detach().clone() for name, value in parameters.items()}
    optimizers = teacher.new_optimizers(lr=0.002, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    decoder_noise = SETTINGS[f"config_{KINDS[kind]}"]["decoder_noise_scale"]
    assert teacher.options.decoder_noise == decoder_noise
    for step in (0, 1):
        draws = draws_of(f, step, kind == "cond")
        parts = training_loss(teacher.network, teacher.space, batch, draws, decoder_noise)
        loss = (parts.velocity_B + parts.cross_entropy_B).sum() / parts.count_B.sum()
        velocity_error = parts.velocity_B.sum() / parts.count_B[~draws.decoded_B].sum()
        cross_entropy = parts.cross_entropy_B.sum() / parts.count_B[draws.decoded_B].sum()
        found = {"loss": loss, "l2_loss": velocity_error, "ce_loss": cross_entropy}
        for name, value in found.items():
            torch.testing.assert_close(value.detach(), f[f"step{step}_{name}"], rtol=0, atol=1e-5)
        loss.backward()
        if step == 0:
            torch.testing.assert_close(draws.w_B, f["w"], rtol=0, atol=1e-6)
            for key, wanted in f.items():
                if key.startswith("grad."):
                    slope = parameters[key.removeprefix("grad.")].grad
                    torch.testing.assert_close(slope, wanted, rtol=0, atol=1e-5)
            norms = torch.stack([one.grad.norm() for one in parameters.values() if one.grad is not None])
            torch.testing.assert_close(norms, f["grad_norms_all"], rtol=0, atol=1e-5)
        norm = nn.utils.clip_grad_norm_(parameters.values(), SETTINGS["training"]["gradient_clip"])
        torch.testing.assert_close(norm, f[f"step{step}_grad_norm"], rtol=0, atol=1e-5)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = float(f[f"step{step}_lr"])
            optimizer.step()
            optimizer.zero_grad()
        for name, value in parameters.items():
            average[name].lerp_(value.detach(), 1 - SETTINGS["training"]["ema_decay"])
    after = {"param_after.": parameters, "ema_after.": average}
    for prefix, found_values in after.items():
        for key, wanted in f.items():
            if key.startswith(prefix):
                value = found_values[key.removeprefix(prefix)].detach()
                torch.testing.assert_close(value, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["cond", "uncond"])
def test_passes_of_the_first_update_are_official(
    small_of: Callable[..., ElfTeacher], official: Official, batch_of: Callable[..., Batch], kind: str
) -> None:
    """The official code makes both gradient-free passes for all samples, dlmone for those that read one."""
    f, teacher = official(f"train_{kind}"), small_of(conditional=kind == "cond").requires_grad_(False)
    network, space, batch = teacher.network, teacher.space, batch_of(f["input_ids"], f["cond_seq_mask"])
    draws = draws_of(f, 0, kind == "cond")
    z, given = f["uncond_in"].split(16, dim=-1)
    t_B = draws.t_B

    def close(found: Tensor, wanted: Tensor, atol: float = 1e-5) -> None:
        torch.testing.assert_close(found, wanted, rtol=0, atol=atol)

    x_BLD = space.states(batch, draws.kept_B)
    close(torch.where(space.generated(batch), 0, x_BLD), given)
    plain = network.estimate(network.hidden(f["uncond_in"], t_B, draws.w_B)[-1])
    close(plain, f["uncond_x"])
    second = network.estimate(network.hidden(f["cond_in"], t_B, draws.w_B)[-1])
    close(second, f["cond_x"])
    first, gap = guided_velocity(network, z, given, space.generated(batch), draws, torch.arange(4))
    close(first, f["cond_in"].split(16, dim=-1)[1])
    wanted = (1 - 1 / draws.w_B)[:, None, None] * (velocity(z, second, t_B) - velocity(z, plain, t_B))
    close(gap, wanted, atol=1e-6 * float(wanted.abs().max()))
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    kept = network.hidden

    def hidden(pair: Tensor, time: Tensor, w: Tensor, mode: Tensor | None = None) -> list[Tensor]:
        found = kept(pair, time, w, mode)
        seen.append((pair, time, found[-1]))
        return found

    network.hidden = hidden  # type: ignore[method-assign]
    training_loss(network, space, batch, draws, teacher.options.decoder_noise)
    pair, time, h = seen[-1]
    close(pair, f["main_in"])
    close(time, f["main_t"])
    close(network.estimate(h), f["main_x"])
    close(network.logits(h), f["main_logits"])


def test_what_is_drawn_has_the_stated_distributions(small_of: Callable[..., ElfTeacher]) -> None:
    teacher = small_of()
    draws = Draws.of(Noise([(0, str(row)) for row in range(4000)]), teacher.space, teacher.options)
    assert float(draws.decoded_B.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(draws.conditioned_B.float().mean()) == pytest.approx(0.5, abs=0.025)
    assert draws.kept_B is not None
    assert float(draws.kept_B.float().mean()) == pytest.approx(0.9, abs=0.015)
    assert float(torch.logit(draws.t_B).mean()) == pytest.approx(-1.5, abs=0.05)
    assert float(torch.logit(draws.t_B).std()) == pytest.approx(0.8, abs=0.03)
    assert float(torch.logit(draws.signal_BL).mean()) == pytest.approx(0.8, abs=0.02)
    assert float(torch.logit(draws.signal_BL).std()) == pytest.approx(0.8, abs=0.02)
    assert draws.signal_BL.shape == (4000, 24)
    assert 0.5 <= float(draws.w_B.min()) < 0.51
    assert 4.95 < float(draws.w_B.max()) < 5.0
    # 1 + w is log-uniform: half of it lies below 3.
    assert float((1 + draws.w_B < 3).float().mean()) == pytest.approx(0.5, abs=0.025)


def test_a_dropped_condition_is_neither_seen_nor_read(small_of: Callable[..., ElfTeacher]) -> None:
    """With every condition dropped, what it says makes no difference to the loss."""
    teacher = small_of(condition_dropout=0.999999)
    noise = Noise([(0, "a")])
    losses = [
        teacher.training_loss(teacher.space.collate([Example("a", source, "word1 word2")]), noise).loss_B
        for source in ("word5 word6", "word7 word8")
    ]
    # A decoded sample reads its (noised) zeros there.
    torch.testing.assert_close(*losses)
    kept = small_of(condition_dropout=0.0)
    others = [
        kept.training_loss(kept.space.collate([Example("a", source, "word1 word2")]), noise).loss_B
        for source in ("word5 word6", "word7 word8")
    ]
    assert not torch.allclose(*others)
