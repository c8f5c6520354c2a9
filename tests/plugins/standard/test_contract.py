"""The family ``standard`` as a plugin: its names, its contract, its signatures, and its refusals."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest
from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.core.text.evaluator import CorpusMetric, PairMetric, Sample
from dlmone.plugins import metrics, standard
from dlmone.plugins.standard import options
from dlmone.plugins.standard.texts import clean_text
from dlmone.testing import check_evaluator

OFFERS: dict[str, tuple[str, str]] = {}
standard.register_evaluators(lambda name, target, *, options, **_: OFFERS.update({name: (target, options)}))
METRICS: dict[str, tuple[str, str]] = {}
metrics.register_evaluators(lambda name, target, *, options, **_: METRICS.update({name: (target, options)}))

SAMPLES = [
    Sample(
        "0", "what is the best way to learn?", "how can i learn best?", ("how do i learn?", "why?", "how?")
    ),
    Sample("1", "is it so, or not?", "is it?", ("", "is it so?", "so it is")),
    Sample("2", "[CLS] a b c d [SEP]", "[CLS] a b e f [SEP]", ("[CLS] a b e [SEP] [PAD]", "a", "[PAD]")),
    Sample("3", "one", "one", ("one", "one", "one")),
]


def load(target):
    module, name = target.split(":")
    return getattr(import_module(module), name)


def create(name, **table):
    target, model = OFFERS[name]
    return load(target)(load(model)(**table))


def test_names():
    assert set(OFFERS) == {
        *("sacrebleu", "chrf", "ter", "ibleu", "sari", "corpus_sari", "rouge", "distinct", "div_n"),
        "symmetric_self_bleu",
    }


def test_no_name_of_a_score_or_evaluator_is_one_of_the_other_families():
    def scores(offers):
        made = {name: load(target)(load(model)()) for name, (target, model) in offers.items()}
        return {score.name for evaluator in made.values() for score in evaluator.evaluate(SAMPLES)}

    others = dict(METRICS)
    assert not OFFERS.keys() & others.keys()
    del others["bertscore"]  # needs a model
    assert not scores(OFFERS) & scores(others)


@pytest.mark.parametrize(
    ("theirs", "ours", "table"),
    [
        (("rouge_l", "rouge_l"), ("rouge", "rougeL"), {}),
        (("dist_1", "dist_1"), ("distinct", "output_distinct_1"), {"level": "output", "tokenize": "none"}),
        (("diversity", "div_4"), ("div_n", "div_n_4"), {"tokenize": "none"}),
    ],
)
def test_what_both_families_share_is_as_documented(theirs, ours, table):
    def found(evaluator, name):
        return next(score for score in evaluator.evaluate(SAMPLES) if score.name == name).per_sample

    evaluator = load(METRICS[theirs[0]][0])(load(METRICS[theirs[0]][1])())
    assert found(create(ours[0], **table), ours[1]) == pytest.approx(found(evaluator, theirs[1]))


@pytest.mark.parametrize(
    ("name", "table"),
    [(name, {}) for name in sorted(OFFERS)]
    + [
        ("sacrebleu", {"tokenize": "char", "lowercase": True}),
        ("chrf", {"word_order": 2}),
        ("ter", {"normalized": True, "no_punct": True, "case_sensitive": True}),
        ("ibleu", {"alpha": 0.5}),
        ("sari", {"tokenize": "none", "lowercase": False}),
        ("rouge", {"use_stemmer": True}),
        ("distinct", {"level": "output", "orders": [1, 3], "per": "words"}),
        ("div_n", {"candidates": 2, "orders": [2]}),
        ("symmetric_self_bleu", {"candidates": 2, "order": 2}),
    ],
)
def test_each_evaluator_keeps_the_contract(name, table):
    evaluator = create(name, **table)
    check_evaluator(evaluator, SAMPLES)
    for score in evaluator.evaluate(SAMPLES):
        fields = [field.split(":", 1) for field in score.signature.split("|")]
        assert fields[0] == ["family", "standard"]
        assert fields[1] == ["metric", score.name]
        assert ["candidates", str(evaluator.candidates)] in fields
        assert fields[-1] == ["dlmone", version("dlmone")]
        assert len({key for key, _ in fields}) == len(fields)


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_each_evaluator_refuses_in_one_sentence(name):
    evaluator = create(name)
    with pytest.raises(InputError, match=f"^{name} needs at least one sample"):
        evaluator.evaluate([])
    with pytest.raises(InputError, match=f"^{name} needs . candidate.*'7' has 0"):
        evaluator.evaluate([Sample("7", "s", "r", ())])


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_a_score_is_a_mean_over_samples_or_a_function_of_sums(name):
    evaluator = create(name)
    corpus = {"sacrebleu", "chrf", "ter", "ibleu", "corpus_sari"}
    assert isinstance(evaluator, CorpusMetric) == (name in corpus)
    assert isinstance(evaluator, PairMetric) == (name == "chrf")
    for score in evaluator.evaluate(SAMPLES):
        assert (score.per_sample is None) == (name in corpus or score.name.startswith("corpus_"))


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_directions(name):
    lower = {"ter", "symmetric_self_bleu"}
    assert {s.direction for s in create(name).evaluate(SAMPLES)} == {"lower" if name in lower else "higher"}


@pytest.mark.parametrize(
    ("name", "table", "definition"),
    [
        ("sacrebleu", {}, "candidates:1|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu}"),
        (
            "chrf",
            {"word_order": 2, "lowercase": True},
            "candidates:1|nrefs:1|case:lc|eff:yes|nc:6|nw:2|space:no|version:{sacrebleu}",
        ),
        ("ter", {}, "candidates:1|nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{sacrebleu}"),
        (
            "ibleu",
            {"alpha": 0.9},
            "alpha:0.9|level:corpus|candidates:1|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
            "|version:{sacrebleu}",
        ),
        (
            "sari",
            {},
            "form:evaluate|level:sentence|delete:precision|tok:13a|case:lower|candidates:1"
            "|sacrebleu:{sacrebleu}",
        ),
        (
            "corpus_sari",
            {"lowercase": False},
            "form:easse|level:corpus|delete:f1|tok:13a|case:mixed|candidates:1|sacrebleu:{sacrebleu}",
        ),
        (
            "symmetric_self_bleu",
            {"candidates": 2},
            "order:4|refs:others|tok:13a|smooth:method1|candidates:2|sacrebleu:{sacrebleu}",
        ),
    ],
)
def test_signatures(name, table, definition):
    score = create(name, **table).evaluate(SAMPLES)[0]
    definition = definition.format(sacrebleu=version("sacrebleu"))
    assert score.signature == f"family:standard|metric:{name}|{definition}|dlmone:{version('dlmone')}"


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (options.SacreBleuOptions, {"tokenize": "spaces"}),
        (options.ChrfOptions, {"word_order": -1}),
        (options.TerOptions, {"lowercase": True}),
        (options.IBleuOptions, {"alpha": 1.1}),
        (options.SariOptions, {"level": "corpus"}),
        (options.RougeOptions, {"stemmer": True}),
        (options.DistinctOptions, {"orders": []}),
        (options.DistinctOptions, {"orders": [0]}),
        (options.DivNOptions, {"candidates": 1}),
        (options.SelfBleuOptions, {"order": 0}),
    ],
)
def test_options_refuse_what_they_do_not_know(model, table):
    with pytest.raises(ValidationError):
        model(**table)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("[CLS] why? [SEP] [SEP]", "why?"),
        ("  a\t b \n", "a b"),
        ("a[SEP]b", "a b"),
        ("[PAD] [PAD]", ""),
        ("[UNK] [MASK]", "? [MASK]"),
    ],
)
def test_markers_are_no_text(text, clean):
    assert clean_text(text, "?") == clean


def test_listing_the_plugin_and_its_options_imports_nothing_heavy():
    heavy = {"torch", "nltk", "rouge_score", "sacrebleu", "numpy"}
    code = "import sys, dlmone.plugins.standard.options; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
