"""plugins/diffuseq/training/loss.py: official losses, gradients and optimisation steps."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dlmone.core import Batch, Example, Noise
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.diffuseq.training import loss as loss_module
from dlmone.plugins.diffuseq.training.groups import by_length
from dlmone.plugins.diffuseq.training.loss import LossParts, token_nll, training_loss
from dlmone.plugins.tokenizers.words import words

DATA = Path(__file__).parents[3] / "data" / "diffuseq"
LOSSES = load_file(DATA / "train_losses.safetensors")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
#: Softmax does not see the keys' bias: its gradient is rounding noise, which Adam blows up to full steps.
WITHOUT_GRADIENT = "attention.self.key.bias"
SMALL = DiffuSeqOptions(
    seq_len=24,
    hidden_dim=16,
    hidden_t_dim=32,
    width=64,
    layers=2,
    heads=2,
    feedforward=128,
    dropout=0,
    attention_dropout=0,
    max_positions=40,
)


def small_teacher(file: str = "small_model.safetensors", **options: object) -> DiffuSeqTeacher:
    teacher = DiffuSeqTeacher(
        SMALL.model_copy(update=options), Tokenizer(words(["a b c d e f"])), vocab_size=200
    )
    teacher.load_official(load_file(DATA / file))
    return teacher


def official_loss(teacher: DiffuSeqTeacher) -> LossParts:
    batch = Batch(tuple("abcd"), LOSSES["input_ids"], LOSSES["input_mask"].bool())
    clean_target = teacher.options.clean_target
    return training_loss(
        teacher.network,
        teacher.space,
        batch,
        LOSSES["t"],
        LOSSES["x0_noise"],
        LOSSES["noise"],
        clean_target=clean_target,
    )


def parameters(teacher: DiffuSeqTeacher) -> dict[str, torch.nn.Parameter]:
    return {**dict(teacher.space.named_parameters()), **dict(teacher.network.named_parameters())}


def test_each_part_of_the_loss_is_the_official_one() -> None:
    parts = official_loss(small_teacher())
    torch.testing.assert_close(parts.mse_B, LOSSES["mse"], **TOLERANCE)
    torch.testing.assert_close(parts.decoder_nll_B, LOSSES["decoder_nll"], **TOLERANCE)
    torch.testing.assert_close(parts.tT_B, LOSSES["tT_loss"], atol=1e-12, rtol=1e-4)
    torch.testing.assert_close(parts.loss_B, LOSSES["loss"], **TOLERANCE)


def test_the_gradient_of_every_parameter_is_the_official_one() -> None:
    teacher, official = small_teacher(), load_file(DATA / "train_grads.safetensors")
    loss = (LOSSES["weights"] * official_loss(teacher).loss_B).mean()
    torch.testing.assert_close(loss, LOSSES["weighted_mean_loss"], **TOLERANCE)
    loss.backward()
    ours = {name: parameter.grad for name, parameter in parameters(teacher).items()}
    assert ours.keys() == official.keys()
    for name, gradient in official.items():
        torch.testing.assert_close(
            ours[name], gradient, atol=1e-6, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("rows_at_once", [20, 200])
def test_bfloat16_gradients_stay_near(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts of the embedding's gradient above all: from input, target and logits."""
    teacher, official = small_teacher(), load_file(DATA / "train_grads.safetensors")
    monkeypatch.setattr(loss_module, "scores_at_once", lambda _: 200 * rows_at_once)
    with torch.autocast("cpu", torch.bfloat16):
        loss = (LOSSES["weights"] * official_loss(teacher).loss_B).mean()
    loss.backward()
    for name, parameter in parameters(teacher).items():
        if not name.endswith(WITHOUT_GRADIENT):
            error = (parameter.grad - official[name]).norm() / official[name].norm()
            assert error < 0.05, name


def test_four_optimisation_steps_end_at_the_official_weights() -> None:
    """AdamW as the official loop runs it; each of two microbatches adds the gradient of its own mean."""
    steps = load_file(DATA / "train_steps_io.safetensors")
    teacher = small_teacher("train_steps_start.safetensors")
    optimizer = torch.optim.AdamW(parameters(teacher).values(), betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    for step in range(4):
        ids, mask = steps[f"step{step}_input_ids"], steps[f"step{step}_input_mask"].bool()
        x0_noise_1, noise_1, x0_noise_2, noise_2 = steps[f"step{step}_noise_queue"]
        optimizer.zero_grad()
        for half, (x0_noise, noise) in enumerate([(x0_noise_1, noise_1), (x0_noise_2, noise_2)]):
            rows, row = slice(2 * half, 2 * half + 2), 2 * step + half
            batch = Batch(tuple("ab"), ids[rows], mask[rows])
            parts = training_loss(teacher.network, teacher.space, batch, steps["t"][row], x0_noise, noise)
            (steps["weights"][row] * parts.loss_B).mean().backward()
        optimizer.param_groups[0]["lr"] = float(steps[f"step{step}_lr"])
        optimizer.step()
    final = load_file(DATA / "train_steps_final.safetensors")
    for name, parameter in parameters(teacher).items():
        tolerance = {"atol": 5e-4, "rtol": 0} if name.endswith(WITHOUT_GRADIENT) else TOLERANCE
        torch.testing.assert_close(
            parameter.data, final[name], **tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_the_clean_target_replaces_x0_at_every_time() -> None:
    """Checked from the officially computed x0 and x_t."""
    teacher = small_teacher(clean_target=True)
    batch = Batch(tuple("abcd"), LOSSES["input_ids"], LOSSES["input_mask"].bool())
    prediction = teacher.network.denoise(LOSSES["x_t"], LOSSES["t"], batch).x0
    expected_B = (teacher.space.embed(batch) - prediction).square().mean((1, 2))
    torch.testing.assert_close(official_loss(teacher).mse_B, expected_B, **TOLERANCE)
    assert not torch.allclose(expected_B[1:], LOSSES["mse"][1:])


def test_chunked_cross_entropy_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = small_teacher()
    torch.manual_seed(0)
    state_BLD = torch.randn(3, 24, 16).requires_grad_()
    tokens_BL = torch.randint(200, state_BLD.shape[:2])
    whole_BL = torch.nn.functional.cross_entropy(
        teacher.space.logits(state_BLD).flatten(0, 1), tokens_BL.flatten(), reduction="none"
    ).view(tokens_BL.shape)
    monkeypatch.setattr(loss_module, "scores_at_once", lambda _: 200 * 10)
    chunked_BL = token_nll(teacher.space, state_BLD, tokens_BL)
    torch.testing.assert_close(chunked_BL, whole_BL)
    wanted = [state_BLD, *teacher.space.parameters()]
    scale_BL = torch.rand_like(whole_BL)
    gradients = [torch.autograd.grad((scale_BL * nll).sum(), wanted) for nll in (chunked_BL, whole_BL)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


EXAMPLES = [Example(str(i), "a b c", "d e f") for i in range(6)]
KEYS = [("seed", "pretrain", 3, position) for position in range(6)]


def test_a_sample_draws_alike_in_every_batch() -> None:
    teacher = small_teacher(time_sampler="uniform")
    batch = teacher.space.collate(EXAMPLES)
    whole = teacher.training_loss(batch, Noise(KEYS))
    halves = [teacher.training_loss(batch[rows], Noise(KEYS[rows])) for rows in (slice(0, 3), slice(3, 6))]
    for name in ("t", "loss"):
        parts = torch.cat([half.observation[name] for half in halves])
        torch.testing.assert_close(parts, whole.observation[name])


def test_a_loss_aware_teacher_weights_its_loss_by_what_it_observed() -> None:
    teacher = small_teacher(diffusion_steps=4)
    batch = teacher.space.collate(EXAMPLES)
    every_t = torch.arange(4).repeat(10)
    teacher.observe({"t": every_t, "loss": every_t.double() + 1})
    answer = teacher.training_loss(batch, Noise(KEYS))
    p = teacher.times.probabilities()[answer.observation["t"]]
    torch.testing.assert_close(
        answer.loss_B.detach(), answer.observation["loss"] / torch.tensor(4 * p).float()
    )
    assert answer.loss_B.requires_grad
    assert not answer.observation["loss"].requires_grad
    restored = small_teacher(diffusion_steps=4)
    restored.load_training_state(teacher.training_state())
    assert (restored.times.probabilities() == teacher.times.probabilities()).all()


def test_a_few_steps_in_bfloat16_learn_a_constant_answer() -> None:
    torch.manual_seed(0)
    changes = {"seq_len": 12, "dropout": 0.1, "attention_dropout": 0.1, "tokenizer": "words"}
    teacher = DiffuSeqTeacher.build(DiffuSeqOptions(**SMALL.model_dump() | changes), EXAMPLES)
    batch = teacher.space.collate(EXAMPLES)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-2)
    losses = []
    for step in range(40):
        with torch.autocast("cpu", torch.bfloat16):
            answer = teacher.training_loss(batch, Noise([("learn", step, i) for i in range(6)]))
        assert answer.loss_B.dtype == torch.float32
        optimizer.zero_grad()
        answer.loss_B.mean().backward()
        optimizer.step()
        teacher.observe(answer.observation)
        losses.append(answer.logged["mse"].mean().item())
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])


UNEQUAL = [Example(str(i), "a b", " ".join("c" * (1 + i))) for i in range(6)]


def test_a_batch_trained_in_groups_of_like_length_loses_padding_alone() -> None:
    space = small_teacher().space
    batch = space.collate(UNEQUAL)
    padded_B = torch.tensor([False, True, False, False, False, False])
    seen, pad = [], space.tokenizer.pad_id
    for rows_N, group in by_length(batch, pad, 3, padded_B):
        length = group.tokens_BL.shape[1]
        assert torch.equal(group.tokens_BL, batch.tokens_BL[rows_N, :length])
        assert torch.equal(group.target_BL, batch.target_BL[rows_N, :length])
        assert (batch.tokens_BL[rows_N, length:] == pad).all()
        assert group.ids == tuple(batch.ids[row] for row in rows_N)
        seen.append((length, rows_N.tolist()))
    assert [rows for _, rows in seen] == [[0, 2], [3, 4], [5, 1]]
    assert [length for length, _ in seen] == [11, 13, 24]


def test_in_groups_every_sample_has_the_loss_it_has_alone() -> None:
    torch.manual_seed(0)
    teacher = small_teacher(time_sampler="uniform", length_groups=3)
    batch = teacher.space.collate(UNEQUAL)
    answer = teacher.training_loss(batch, Noise(KEYS))
    noise = Noise(KEYS)
    t_B, _ = teacher.times.draw(noise.uniform("t"))
    x0_noise, later_noise = noise.normal("x0", (24, 16)), noise.normal("noise", (24, 16))
    padded_B = noise.uniform("padded") < 1 / 3
    for rows_N, group in by_length(batch, teacher.space.tokenizer.pad_id, 3, padded_B):
        length = group.tokens_BL.shape[1]
        for i, row in enumerate(rows_N.tolist()):
            one = slice(row, row + 1)
            alone = training_loss(
                teacher.network,
                teacher.space,
                group[i : i + 1],
                t_B[one],
                x0_noise[one, :length],
                later_noise[one, :length],
            )
            torch.testing.assert_close(answer.observation["loss"][one], alone.loss_B.detach())


def test_the_error_can_count_at_generated_positions_only() -> None:
    teacher = small_teacher()
    batch = Batch(tuple("abcd"), LOSSES["input_ids"], LOSSES["input_mask"].bool())
    parts = training_loss(
        teacher.network,
        teacher.space,
        batch,
        LOSSES["t"],
        LOSSES["x0_noise"],
        LOSSES["noise"],
        clean_target=True,
        generated_only=True,
    )
    prediction = teacher.network.denoise(LOSSES["x_t"], LOSSES["t"], batch).x0
    error_BL = (teacher.space.embed(batch) - prediction).square().mean(2)
    expected = [error_L[target_L].mean() for error_L, target_L in zip(error_BL, batch.target_BL, strict=True)]
    torch.testing.assert_close(parts.mse_B, torch.stack(expected), **TOLERANCE)


def test_an_embedding_that_is_not_trained_stays_and_costs_no_loss() -> None:
    teacher = small_teacher(train_embedding=False)
    answer = teacher.training_loss(teacher.space.collate(EXAMPLES), Noise(KEYS))
    assert (answer.logged["decoder_nll"] == 0).all()
    answer.loss_B.sum().backward()
    assert all(parameter.grad is None for parameter in teacher.space.parameters())
    assert teacher.network.input_up_proj[0].weight.grad is not None
