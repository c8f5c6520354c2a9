"""The autoregressive baseline: rows alone as in a batch, greedy as transformers', draws keyed."""

import pytest
import torch

from dlmone.core import Example, InputError, Noise
from dlmone.plugins.causal.codec import CausalCodec, Utf8
from dlmone.plugins.causal.generator import CausalGenerator
from dlmone.plugins.causal.models import LocalCausal, ShapeOfGPT2
from dlmone.plugins.causal.options import CausalOptions, GPT2Options, LocalOptions
from dlmone.registry import Registry
from dlmone.registry.schema import GeneratorSlot
from dlmone.testing import check_generator
from dlmone.testing.toy import EXAMPLES

END, PAD = 256, 257


def gpt2(**sizes):
    # Imported late: it imports Triton, whose interpreter other tests must be able to ask for before that.
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_head=2, **sizes))


def tiny(**options):
    network = gpt2(vocab_size=258, n_embd=16, n_layer=2, n_positions=64)
    settings = CausalOptions(max_source=32, max_tokens=8, **options)
    return CausalGenerator(network, CausalCodec(Utf8(), settings, PAD, END))


@pytest.mark.parametrize("sample", [False, True])
def test_contract(sample):
    check_generator(tiny(sample=sample), EXAMPLES, refines=False, drawn=sample)


def test_greedy_is_that_of_transformers():
    writer = tiny()
    for example in EXAMPLES:
        batch = writer.space.collate([example])
        given = batch.tokens_BL[~batch.target_BL][None]
        theirs = writer.network.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=8,
            eos_token_id=END,
            pad_token_id=PAD,
        )
        written = writer.generate(batch, Noise([(0, example.id)]))
        wanted = theirs[0, given.shape[1] :]
        assert written.tokens_BL[batch.target_BL][: len(wanted)].tolist() == wanted.tolist()
        assert written.calls == len(wanted)


def test_it_stops_where_every_row_has_ended():
    writer = tiny()
    with torch.no_grad():  # the end is the likeliest token everywhere
        writer.network.lm_head = torch.nn.Linear(16, 258)
        writer.network.lm_head.bias[END] = 1e6
    batch = writer.space.collate(EXAMPLES)
    written = writer.generate(batch, Noise([(0, id) for id in batch.ids]))
    assert written.calls == 1
    assert writer.space.text(written.tokens_BL, batch) == [""] * len(EXAMPLES)


def test_one_step_and_short_sources():
    writer = tiny()
    batch = writer.space.collate(EXAMPLES[:1])
    with pytest.raises(InputError, match="it takes 1 step, not 2"):
        writer.generate(batch, Noise([(0, "x")]), steps=2)
    with pytest.raises(InputError, match="example long: its source has 41 tokens with the separator, more"):
        writer.space.collate([Example("long", "x" * 40, "")])
    with pytest.raises(InputError, match="take 1100 positions; the model has 1024"):
        ShapeOfGPT2(GPT2Options(max_source=100, max_tokens=1000))


def test_a_local_folder(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"[PAD]": 0, "[END]": 1, "[UNK]": 2, "rain": 3, "what": 4, "is": 5, "=": 6}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="[END]").save_pretrained(tmp_path)
    gpt2(vocab_size=7, n_embd=8, n_layer=1, n_positions=32).save_pretrained(tmp_path)
    slot = {"use": "causal", "path": str(tmp_path), "max_source": 8, "max_tokens": 4, "separator": "="}
    writer = Registry.discover().create("generators", GeneratorSlot.model_validate(slot))
    assert isinstance(writer, LocalCausal)
    batch = writer.space.collate([Example("a", "what is rain", "rain is")])
    assert writer.space.source_text(batch) == ["what is rain"]
    assert writer.space.text(batch.tokens_BL, batch) == ["rain is"]
    assert 1 <= writer.generate(batch, Noise([(0, "a")])).calls <= 4


def test_no_model_there(tmp_path):
    with pytest.raises(InputError, match="no causal language model can be loaded"):
        LocalCausal(LocalOptions(path=str(tmp_path / "nowhere")))
