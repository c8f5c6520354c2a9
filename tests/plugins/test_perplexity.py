"""Generative perplexity: official numbers, by hand, and what repetition hides from the plain value."""

from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tokenizers import models, pre_tokenizers

from dlmone.core import InputError, Sample
from dlmone.evaluation.confidence import Resampling, Sums
from dlmone.plugins.causal.options import PerplexityOptions
from dlmone.plugins.causal.perplexity import ADJUSTED, ENTROPY, PLAIN, PerplexityEvaluator, repeated
from dlmone.plugins.causal.protocols import PROTOCOLS
from dlmone.plugins.causal.scorer import token_losses
from dlmone.plugins.text.counts import entropy
from dlmone.testing import check_evaluator

DATA = Path(__file__).parents[1] / "data"
END = "<|endoftext|>"
WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "home", "[CLS]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 that has learned to go on as before, and a tokenizer of eleven words."""
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("gpt2")
    vocabulary = {word: number for number, word in enumerate([END, *WORDS])}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, bos_token=END, unk_token=END
    ).save_pretrained(path)
    torch.manual_seed(0)
    network = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=12, n_embd=32, n_layer=2, n_head=2, n_positions=24, bos_token_id=0, eos_token_id=0
        )
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        part_BL = torch.randint(1, 12, (16, 4))
        tokens_BL = part_BL.repeat(1, 4)
        optimizer.zero_grad()
        network(input_ids=tokens_BL, labels=tokens_BL).loss.backward()
        optimizer.step()
    network.eval().save_pretrained(path)
    return path


def evaluator(folder: Path, **options: Any) -> PerplexityEvaluator:
    return PerplexityEvaluator(PerplexityOptions(model=str(folder), device="cpu", **options))


def samples(*texts: str) -> list[Sample]:
    return [Sample(str(row), "", "the cat sat", (text,)) for row, text in enumerate(texts)]


def values(found: PerplexityEvaluator, *texts: str) -> dict[str, float]:
    return {score.name: score.value for score in found.evaluate(samples(*texts))}


def nll(folder: Path, tokens: list[int]) -> list[float]:
    """−ln p of each token after the first, one sequence at a time."""
    from transformers import GPT2LMHeadModel

    network = GPT2LMHeadModel.from_pretrained(folder)
    log_p_LV = network(torch.tensor([tokens])).logits[0].log_softmax(-1)
    return [-log_p_LV[place, token].item() for place, token in enumerate(tokens[1:])]


@pytest.mark.parametrize("protocol", ["plain", "langflow", "elf"])
def test_the_contract(folder: Path, protocol: str) -> None:
    texts = ("the cat sat on a mat", "", "the cat", "dog", "the cat sat on a mat")
    check_evaluator(evaluator(folder, protocol=protocol), samples(*texts))


# -- the official numbers ----------------------------------------------------------------------------------


def test_elfs_perplexity_and_entropy_are_official() -> None:
    """From the official code over a fixed table of logits (tests/data/elf_gen_ppl.safetensors)."""
    table = load_file(DATA / "elf_gen_ppl.safetensors")
    lengths = table["gen_ppl_attention_mask"].sum(1).int().tolist()
    assert lengths == [9, 6, 3, 8]
    counts = PROTOCOLS["elf"].counts(lengths)
    assert counts == [8, 6, 3, 8]
    losses = token_losses(table["gen_ppl_logits"], table["gen_ppl_ids"].long(), counts)
    each = [exp(sum(one) / len(one)) for one in losses]
    official = [22.77502582099011, 16.359223672536583, 24.83390509678101, 14.713922668416279]
    assert each == pytest.approx(official, rel=1e-6)
    whole = exp(sum(map(sum, losses)) / sum(map(len, losses)))
    assert whole == pytest.approx(18.482827014315532, rel=1e-6)
    tokens = [row[:length] for row, length in zip(table["gen_ppl_ids"].tolist(), lengths, strict=True)]
    assert sum(map(entropy, tokens)) / 4 == pytest.approx(1.4740670109964136, rel=1e-6)


def test_langflows_entropy_is_official() -> None:
    """Of the 32-step samples of the small official model."""
    ids = load_file(DATA / "langflow" / "sampler.safetensors")["n32_ids"].tolist()
    assert sum(map(entropy, ids)) / len(ids) == pytest.approx(2.9325642585754395, rel=1e-6)


# -- the protocols on texts --------------------------------------------------------------------------------


def test_plain_counts_all_of_a_text_and_its_end(folder: Path) -> None:
    losses = [*nll(folder, [0, 1, 2, 3, 0]), *nll(folder, [0, 4, 0])]
    assert values(evaluator(folder), "the cat sat", "on")[PLAIN] == pytest.approx(
        exp(np.mean(losses)), rel=1e-5
    )


def test_langflow_scores_markers_and_no_first_token(folder: Path) -> None:
    found = evaluator(folder, protocol="langflow")
    losses = [*nll(folder, [11, 1, 2, 11, 3, 11]), *nll(folder, [11, 4, 11])]
    scores = values(found, "the cat\nsat", "on")
    assert scores[PLAIN] == pytest.approx(exp(np.mean(losses)), rel=1e-5)
    assert scores[ENTROPY] == pytest.approx((entropy([11, 1, 2, 11, 3, 11]) + entropy([11, 4, 11])) / 2)
    bare = evaluator(folder, protocol="langflow", marker="")
    losses = nll(folder, [1, 2, 3])
    assert values(bare, "the cat\nsat", "on")[PLAIN] == pytest.approx(exp(np.mean(losses)), rel=1e-5)


def test_elf_counts_the_first_padding_and_skips_the_empty(folder: Path) -> None:
    losses = [*nll(folder, [1, 2, 3, 4]), *nll(folder, [5, 6, 0])]
    scores = values(evaluator(folder, protocol="elf"), "the cat sat on", "", "a mat")
    assert scores[PLAIN] == pytest.approx(exp(np.mean(losses)), rel=2e-2)  # bfloat16, as official
    assert scores[ENTROPY] == pytest.approx((log(4) + log(2)) / 2)
    # Alone in its batch a text is the longest one, and nothing is padded.
    alone = values(evaluator(folder, protocol="elf", batch=1), "a mat")
    assert alone[PLAIN] == pytest.approx(exp(np.mean(nll(folder, [5, 6]))), rel=2e-2)


def test_texts_are_cut_at_the_last_position(folder: Path) -> None:
    long = " ".join(WORDS[:10] * 4)
    tokens = [0, *[number for _ in range(4) for number in range(1, 11)]][:24]
    assert values(evaluator(folder), long)[PLAIN] == pytest.approx(
        exp(np.mean(nll(folder, tokens))), rel=1e-5
    )
    short = exp(np.mean(nll(folder, tokens[:7])))
    assert values(evaluator(folder, max_tokens=7), long)[PLAIN] == pytest.approx(short, rel=1e-5)


# -- repetition --------------------------------------------------------------------------------------------


def test_tokens_of_an_ngram_that_comes_again_are_repetition() -> None:
    assert repeated([1, 2, 3, 1, 2, 4, 1], 2) == [False, False, False, True, True, False, False]
    assert repeated([1, 2, 3, 1, 2, 3, 1], 3) == [False, False, False, True, True, True, True]
    assert repeated([1, 1, 1], 1) == [False, True, True]
    assert repeated([], 4) == []


def test_repeating_lowers_perplexity_but_not_the_adjusted_one(folder: Path) -> None:
    fresh = ["cat dog mat home", "on the ran a", "sat home and cat", "a mat ran dog"]
    looped = [" ".join([text] * 4) for text in fresh]
    for options in ({"protocol": "langflow", "marker": ""}, {}):
        found = evaluator(folder, **options)
        once, again = values(found, *fresh), values(found, *looped)
        # The model has learned to go on as before.
        assert again[PLAIN] < 0.5 * once[PLAIN]
        assert again[ADJUSTED] == pytest.approx(once[ADJUSTED], rel=0.1)


def test_each_distinct_text_counts_once_in_the_adjusted_value(folder: Path) -> None:
    found = evaluator(folder)
    likely, unlikely = "the the the the", "cat dog mat home"
    if values(found, likely)[PLAIN] > values(found, unlikely)[PLAIN]:
        likely, unlikely = unlikely, likely
    both, many = values(found, likely, unlikely), values(found, *[likely] * 9, unlikely)
    assert many[PLAIN] < 0.95 * both[PLAIN]
    assert many[ADJUSTED] == pytest.approx(both[ADJUSTED])


def test_both_perplexities_have_intervals(folder: Path) -> None:
    found = evaluator(folder)
    drawn = samples("the cat sat", "on a mat", "dog ran home and", "a a a a a a", "cat", "the dog ran")
    scores = {score.name: score for score in found.evaluate(drawn)}
    assert scores[ADJUSTED].corrects == PLAIN
    sums = [Sums.of(scores[name], found, drawn) for name in (PLAIN, ADJUSTED)]
    for name, one, (low, high) in zip((PLAIN, ADJUSTED), sums, Resampling(200).intervals(sums), strict=True):
        assert one is not None
        assert one.value(one.rows_NS.sum(0)) == pytest.approx(scores[name].value)
        assert low < scores[name].value < high
    for name in (PLAIN, ADJUSTED):
        assert f"|model:{Path(found.options.model).name}|protocol:plain|" in scores[name].signature


def test_a_corpus_of_nothing_has_the_perplexity_of_a_guess(folder: Path) -> None:
    assert values(evaluator(folder, protocol="elf"), "", "")[PLAIN] == 12


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no causal language model can be loaded"):
        values(evaluator(tmp_path), "a text")
    for wrong in ({}, {"model": ""}, {"model": "a", "protocol": "owt"}, {"model": "a", "ngrams": 4}):
        with pytest.raises(ValidationError):
            PerplexityOptions(**wrong)
