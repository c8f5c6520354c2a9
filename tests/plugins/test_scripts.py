"""What metrics make of other scripts, of unknown tokens, and of near copies."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from dlmone.core import Evaluator, InputError, Sample
from dlmone.evaluation.blindness import sentences, warn_of_blindness
from dlmone.registry import Registry

REGISTRY = Registry.discover()
CHINESE = [Sample("1", "丽江在哪", "丽江是哪个省", ("丽江是哪个省份",) * 3)]
FRENCH = [Sample("1", "où est le musée", "où se trouve le musée", ("où se trouve la mosquée",) * 3)]
ENGLISH = [Sample("1", "where is it", "where is the museum", ("where is a museum",) * 3)]


def metric(use: str, **options: Any) -> Evaluator:
    made: Evaluator = REGISTRY.load("evaluators", use)(REGISTRY.options("evaluators", use, options))
    return made


def values(use: str, samples: Sequence[Sample], **options: Any) -> dict[str, float]:
    return {score.name: score.value for score in metric(use, **options).evaluate(samples)}


SPACED = ["bleu", "dist_1", "diversity", "health", "sacrebleu", "ter", "ibleu", "sari", "corpus_sari"]
SPACED += ["distinct", "div_n", "symmetric_self_bleu"]


@pytest.mark.parametrize("use", SPACED)
def test_a_metric_of_spaced_words_says_that_it_does_not_see_chinese(use: str) -> None:
    for samples, blind in ((CHINESE, True), (FRENCH, False), (ENGLISH, False)):
        reason = metric(use).blind_to([samples[0].reference])
        assert (reason is not None) == blind
    assert "100% of the letters belong to scripts without spaces" in str(metric(use).blind_to(["丽江"]))


@pytest.mark.parametrize("use", ["rouge_l", "rouge"])
def test_a_metric_of_ascii_says_that_it_does_not_see_accents(use: str) -> None:
    assert "it reads a-z and 0-9 only, and 40% of the words" in str(
        metric(use).blind_to([FRENCH[0].reference])
    )
    assert metric(use).blind_to([CHINESE[0].reference])
    assert metric(use).blind_to([ENGLISH[0].reference]) is None


@pytest.mark.parametrize(
    ("use", "option", "score"),
    [
        ("bleu", "unicode", "bleu"),
        ("rouge_l", "unicode", "rouge_l"),
        ("rouge", "unicode", "rougeL"),
        ("sacrebleu", "zh", "sacrebleu"),
        ("sacrebleu", "char", "sacrebleu"),
        ("ibleu", "zh", "ibleu"),
    ],
)
def test_another_tokeniser_sees_it_under_its_own_signature(use: str, option: str, score: str) -> None:
    seeing = metric(use, tokenize=option)
    assert seeing.blind_to([CHINESE[0].reference]) is None
    assert values(use, CHINESE)[score] <= 0.001
    [found] = [one for one in seeing.evaluate(CHINESE) if one.name == score]
    assert found.value > (0.5 if found.value <= 1 else 50)
    [default] = [one for one in metric(use).evaluate(CHINESE) if one.name == score]
    assert found.signature != default.signature
    assert f"tok:{option}" in found.signature


def test_sari_sees_what_is_added_to_a_chinese_sentence() -> None:
    assert values("sari", CHINESE)["sari_add"] < 100 * 3 / 4 + 1e-9  # one word each, and another one
    assert values("sari", CHINESE)["sari_delete"] == 100
    assert values("sari", CHINESE, tokenize="unicode")["sari_add"] > 80


def test_the_default_metrics_get_one_that_sees_any_script() -> None:
    assert REGISTRY.fallbacks("evaluators") == ["chrf"]
    assert metric("chrf").blind_to([CHINESE[0].reference]) is None
    assert values("chrf", CHINESE)["chrf"] > 70


def test_a_warning_names_metrics_and_reason() -> None:
    evaluators = {"a": metric("bleu"), "b": metric("dist_1"), "c": metric("chrf")}
    with pytest.warns(
        UserWarning, match=r"a, b may not mean what they say: each splits words at white space"
    ):
        found = warn_of_blindness(evaluators, CHINESE)
    assert found.keys() == {"a", "b"}
    assert sentences({"x": "why"}) == ["x may not mean what it says: why"]


UNKNOWN = [Sample("1", "[UNK] [UNK]", "a [UNK] b [UNK] [UNK] c [UNK] [UNK]", ("[UNK] " * 6,) * 3)]


@pytest.mark.parametrize(
    ("use", "score"),
    [
        ("sacrebleu", "sacrebleu"),
        ("rouge", "rouge1"),
        ("rouge", "rougeL"),
        ("chrf", "chrf"),
        ("ibleu", "ibleu"),
    ],
)
@pytest.mark.parametrize("spelling", ["[UNK]", "<unk>"])
def test_an_unknown_token_never_matches(use: str, score: str, spelling: str) -> None:
    [sample] = UNKNOWN
    texts = [
        text.replace("[UNK]", spelling) for text in (sample.source, sample.reference, sample.candidates[0])
    ]
    found = values(use, [Sample("1", texts[0], texts[1], (texts[2],) * 3)])[score]
    assert found == pytest.approx(0, abs=1e-9)


def test_an_unknown_token_still_counts_as_a_word() -> None:
    whole = values("rouge", [Sample("1", "", "a b", ("a b",))])["rouge1"]
    with_unknown = values("rouge", [Sample("1", "", "a b", ("a b [UNK] [UNK]",))])["rouge1"]
    assert with_unknown < whole == 1
    assert values("ter", [Sample("1", "", "a [UNK]", ("a [UNK]",))])["ter"] == 50


def test_sari_counts_no_unknown_token_as_the_right_addition() -> None:
    found = values("sari", [Sample("1", "a", "[UNK]", ("[UNK]",))])
    assert found["sari_add"] < values("sari", [Sample("1", "a", "b", ("b",))])["sari_add"] == 100


def test_parity_keeps_unknown_tokens_as_words() -> None:
    [sample] = UNKNOWN
    assert values("rouge_l", [sample])["rouge_l"] == pytest.approx(2 * 5 / (6 + 8))


def test_minimum_bayes_risk_gains_nothing_from_unknown_tokens() -> None:
    chrf = metric("chrf")
    [found] = chrf.score_pairs(["[UNK] [UNK]"], ["[UNK] [UNK]"])  # type: ignore[attr-defined]
    assert found == 0


def test_health_counts_unknown_words() -> None:
    samples = [Sample("1", "a", "b", ("a [UNK] b <unk>",)), Sample("2", "a", "b", ("a b",))]
    assert values("health", samples)["unknown_rate"] == 0.25
    assert values("health", [Sample("1", "丽", "江", ("[UNK][UNK]江",))])["unknown_rate"] == 1


@pytest.mark.parametrize(
    ("source", "output", "near"),
    [
        ("how do i learn the guitar", "how do i learn the guitar ?", 1),
        ("how do i learn the guitar", "How do I learn the guitar", 1),
        ("丽江是哪个省的城市呢", "丽江是哪个省的城市呢？", 1),
        ("how do i learn to play the guitar in a week", "how do i learn to play the piano in a week", 1),
        ("how do i learn the guitar", "what is the best way to learn guitar", 0),
        ("où est le musée", "ou est la mosquee", 0),
    ],
)
def test_near_copies_are_a_number_of_their_own(source: str, output: str, near: int) -> None:
    found = values("copy_rate", [Sample("1", source, "reference", (output,))])
    assert found["near_copy_rate"] == near
    assert found["copy_rate"] == (source.lower() == output.lower())


@pytest.mark.parametrize(
    ("text", "repeats", "words"),
    [
        ("丽江是哪个省份", 0, 7),
        ("丽江是哪个哪个省份", 1, 9),
        ("你好吗你好吗", 1, 6),
        ("好好好", 1, 3),
        ("谢谢爸爸妈妈", 0, 6),
        ("これはこれは何ですか", 1, 10),
        ("où est est le musée ?", 1, 5),
        ("où est le musée ??", 0, 4),
        ("no, no", 0, 2),
        ("من أين أين", 1, 3),
        ("мир мир", 1, 2),
        ("", 0, 0),
    ],
)
def test_health_sees_repetition_in_any_script(text: str, repeats: int, words: int) -> None:
    seeing = metric("health", tokenize="unicode")
    scores = {score.name: score for score in seeing.evaluate([Sample("1", "a", "b", (text,))])}
    assert (scores["repetition_rate"].value, scores["mean_words"].value) == (repeats, words)
    assert "|tok:unicode|" in scores["repetition_rate"].signature
    assert seeing.blind_to([CHINESE[0].reference]) is None


def test_health_reads_white_space_by_default() -> None:
    sample = Sample("1", "a", "b", ("丽江丽江是哪个省份",))
    scores = {score.name: score for score in metric("health").evaluate([sample])}
    assert (scores["repetition_rate"].value, scores["mean_words"].value) == (0, 1)
    assert "|tok:whitespace|" in scores["repetition_rate"].signature


def test_unknown_words_are_a_share_of_characters_too() -> None:
    found = values("health", [Sample("1", "丽", "江", ("[UNK][UNK]江",))], tokenize="unicode")
    assert found["unknown_rate"] == pytest.approx(2 / 3)


def test_nothing_is_said_of_a_metric_that_scores_nothing() -> None:
    one = [Sample("1", "丽江在哪", "丽江是哪个省", ("丽江是哪个省份",))]
    with pytest.warns(UserWarning, match=r"^b may not mean what it says"):
        assert warn_of_blindness({"a": metric("diversity"), "b": metric("bleu")}, one).keys() == {"b"}


@pytest.mark.parametrize(
    ("tokenize", "package"), [("ja-mecab", "MeCab"), ("ko-mecab", "mecab_ko"), ("flores200", "sentencepiece")]
)
@pytest.mark.parametrize("use", ["sacrebleu", "ibleu"])
def test_a_tokeniser_that_needs_a_package_says_which(
    monkeypatch: pytest.MonkeyPatch, use: str, tokenize: str, package: str
) -> None:
    for name in [one for one in sys.modules if one.startswith("sacrebleu.tokenizers.tokenizer_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"tokenize = '{tokenize}': sacreBLEU cannot use it here .*install"):
        metric(use, tokenize=tokenize)
