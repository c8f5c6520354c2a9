"""dlmone.load and what it returns; outputs that do not depend on the batch they were written in."""

import json
import shutil
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import dlmone
from dlmone.core import DiffusionGenerator, Example, Noise, SampledGenerator
from dlmone.generation.inputs import well_formed
from dlmone.models.configuration import fingerprint
from dlmone.models.model import Model
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher

OPTIONS = DiffuSeqOptions(
    seq_len=24, hidden_dim=16, hidden_t_dim=32, width=32, layers=2, heads=2, tokenizer="words"
)
SOURCES = [
    f"{verb} {thing} ?" for verb in ("what is", "how do i learn") for thing in ("rain", "love", "a boat")
]
EXAMPLES = [Example(str(i), source, "tell me about it") for i, source in enumerate(SOURCES)]


@pytest.fixture(scope="module")
def run_dir(run_of):
    torch.manual_seed(0)
    return run_of(DiffuSeqTeacher.build(OPTIONS, EXAMPLES))


@pytest.fixture(scope="module")
def student(run_dir):
    return dlmone.load(run_dir, device="cpu")


@pytest.fixture(scope="module")
def teacher(run_dir):
    return dlmone.load(run_dir / "teacher", device="cpu")


def test_load(run_dir, student, teacher):
    assert isinstance(student, Model)
    assert isinstance(student.generator, DiffusionGenerator)
    assert (student.role, student.steps, student.sampler) == ("student", 1, "re-noising")
    assert student.generator.t_init == 1490
    assert student.fingerprint == fingerprint(run_dir / "student")
    assert repr(student) == f"<student {student.fingerprint}: re-noising, cpu float32>"
    assert isinstance(teacher.generator, SampledGenerator)
    assert (teacher.role, teacher.steps, teacher.sampler) == ("teacher", 20, "ddim")
    assert not teacher.generator.training


@pytest.mark.parametrize("sampler", ["ddim:0.5", {"use": "ddim", "eta": 0.5}])
@pytest.mark.parametrize("folder", ["student", "teacher"])
def test_a_sampler_with_options_for_either(run_dir, folder, sampler):
    model = dlmone.load(run_dir / folder, sampler=sampler, device="cpu")
    assert model.sampler == "ddim(eta=0.5)"
    assert model.generator.sampler.options.eta == 0.5
    assert model.generate(SOURCES[:1], steps=3) == model.generate(SOURCES[:1], steps=3)


def test_bfloat16_is_a_choice(run_dir):
    half = dlmone.load(run_dir, device="cpu", precision="bfloat16")
    assert half.compute.precision == "cpu bfloat16"
    assert torch.bfloat16 in {value.dtype for value in half.generator.parameters()}
    assert len(half.generate(SOURCES)) == len(SOURCES)


def test_candidates_in_drawing_order_keyed_by_seed_and_id(student):
    four = student.generate(SOURCES, candidates=4, seed=3)
    assert [len(texts) for texts in four] == [4] * len(SOURCES)
    assert [texts[:2] for texts in four] == student.generate(SOURCES, candidates=2, seed=3)
    assert student.generate(SOURCES, candidates=4, seed=4) != four
    assert student.generate(SOURCES[2:3], candidates=4, seed=3, ids=["2"]) == four[2:3]
    assert student.generate([]) == []


def test_a_selector_leaves_the_chosen_one(student):
    ten = student.generate(SOURCES, candidates=10)
    chosen = student.generate(SOURCES, select="mbr")
    assert all(len(one) == 1 and one[0] in texts for one, texts in zip(chosen, ten, strict=True))
    assert student.generate(SOURCES, select={"use": "mbr", "utility": "bleu"}, batch=1) == chosen


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.generate("one text"), "expected several texts"),
        (lambda model: model.generate(["a"], ids=["1", "2"]), "there are 2 ids for 1 texts"),
        (
            lambda model: model.generate(["a"], candidates=0),
            "candidates: expected .* from 1 to 10,000, got 0",
        ),
        (
            lambda model: model.generate(["a"], steps=0),
            "steps: expected .* from 1 to 10,000, got 0",
        ),
        (
            lambda model: model.generate(["a"], batch=0),
            "batch: expected .* from 1 to 1,000,000, got 0",
        ),
        (lambda model: model.generate(["a"], steps=10**9), "steps: expected a whole number from 1 to 10,000"),
        (lambda model: model.generate(["a"], candidates=1.5), "candidates: expected .* got 1.5"),
        (lambda model: model.generate(["a"], batch=True), "batch: expected .* got True"),
        (lambda model: model.generate(["a"], seed="x"), "seed: expected a whole number from .* got 'x'"),
        (lambda model: model.generate(["a"], seed=10**5000), "seed: expected a whole number .* got more"),
        (lambda model: model.generate(None), "expected several texts, as in .text., and not NoneType"),
        (lambda model: model.generate(["a", 3]), "text 1: expected a string, found int"),
        (lambda model: model.generate(["a"], select="mbr", candidates=1), "there must be two or more"),
        (lambda model: model.generate(["a"], select="mbr:health"), "health does not compare two texts"),
        (lambda model: model.generate(["a"], select={"utility": "bleu"}), "expected NAME, NAME:VALUE, or"),
    ],
)
def test_mistakes(student, call, message):
    with pytest.raises(dlmone.InputError, match=message):
        call(student)


def test_mistakes_of_loading(run_dir):
    with pytest.raises(dlmone.PluginError, match="no sampler 'ddmi'; did you mean 'ddim'"):
        dlmone.load(run_dir / "teacher", sampler="ddmi")
    with pytest.raises(dlmone.InputError, match="there is no such model folder"):
        dlmone.load(run_dir / "nowhere")
    with pytest.raises(dlmone.InputError, match=f"no such model folder; did you mean '{run_dir}/teacher'"):
        dlmone.load(run_dir / "teachr")
    with pytest.raises(dlmone.InputError, match="expected a model folder or a model's name"):
        dlmone.load("")
    with pytest.raises(dlmone.InputError, match="sampler: expected NAME, NAME:VALUE, or a table"):
        dlmone.load(run_dir, sampler=3)
    for device in (None, 3, ["cpu"]):
        with pytest.raises(dlmone.InputError, match=r"^device: expected auto, cpu, cuda or cuda:N, got "):
            dlmone.load(run_dir, device=device)
    with pytest.raises(dlmone.InputError, match="precision: expected float32, bfloat16 or auto, got 'half'"):
        dlmone.load(run_dir, precision="half")


def test_a_text_that_does_not_fit_is_refused_before_anything_is_written(student, monkeypatch):
    monkeypatch.setattr(Model, "generate_batch", lambda *args: pytest.fail("something was generated"))
    with pytest.raises(dlmone.InputError, match="example 5: its source leaves no room for a target"):
        student.generate([*SOURCES[:5], "love " * 30], batch=2)


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=12), min_size=1, max_size=5))
@settings(max_examples=25)
def test_texts_can_hold_anything(student, texts):
    """Markers, control characters, halves of surrogate pairs: some text comes out, and it can be written."""
    for candidates in student.generate(texts):
        assert all(text.encode() is not None for text in candidates)


@pytest.mark.parametrize(
    "text", ["", "  ", "\x00\x07\x1b[2J", "[SEP] [PAD][CLS] [MASK]", "👩‍👩‍👧 \udcff", "\n"]
)
def test_odd_texts(student, teacher, text):
    [[one]], [[other]] = student.generate([text]), teacher.generate([text], steps=2)
    assert isinstance(one, str)
    assert isinstance(other, str)


def test_a_marker_in_a_text_takes_a_place_and_changes_no_border(student):
    """[SEP] in a text is BERT's token, as in the official tokenizer; where the condition ends is counted."""
    space = student.generator.space
    plain = space.collate([Example("0", "rain love boat", "")])
    marked = space.collate([Example("0", "rain [SEP] boat", "")])
    assert torch.equal(plain.target_BL, marked.target_BL)
    assert marked.tokens_BL[0, 2] == space.tokenizer.sep_id
    assert space.source_text(marked) == ["rain boat"]


@given(st.text(st.characters(exclude_categories=())))
def test_well_formed_texts_stay_and_others_can_be_written(text):
    formed = well_formed(text)
    formed.encode()
    assert well_formed(formed) == formed
    # Two halves that belong together are one character.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in whole):
        assert formed == whole
    assert len(formed) == len(whole)


@pytest.mark.parametrize(("role", "steps"), [("student", 1), ("student", 2), ("student", 4), ("teacher", 7)])
def test_outputs_do_not_depend_on_the_batch(run_dir, role, steps):
    """Not only the texts: the final states are the same bits, so that no near tie can fall another way."""
    generator = dlmone.load(run_dir / role, device="cpu").generator
    space = generator.space
    rows = [Example(str(i), SOURCES[i % len(SOURCES)], "") for i in range(64)]

    def states(part):
        noise = Noise([(0, row.id, 0) for row in part])
        return generator.generate(space.collate(part), noise, steps).state

    whole = states(rows)
    for size in (1, 7):
        parts = [states(rows[i : i + size]) for i in range(0, len(rows), size)]
        assert torch.equal(torch.cat(parts), whole), size


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.permutations(range(12)))
@settings(max_examples=15)
def test_any_cut_and_any_order_give_the_same_texts(student, sizes, order):
    texts = (SOURCES * 2)[:12]
    whole = student.generate(texts, candidates=2, steps=2)
    ids = [str(i) for i in order]
    mixed = [texts[i] for i in order]
    parts, start = [], 0
    for size in chain(sizes, [len(texts)]):
        parts += student.generate(
            mixed[start : start + size], candidates=2, steps=2, ids=ids[start : start + size]
        )
        start += size
    assert [parts[ids.index(str(i))] for i in range(12)] == whole


def test_a_student_takes_as_many_steps_as_it_was_trained_for(run_dir, tmp_path):
    folder = tmp_path / "few"
    shutil.copytree(run_dir / "student", folder)
    config = json.loads((folder / "config.json").read_text())
    config["student"]["calls"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"config": json.dumps(config)})
    few, one = dlmone.load(folder), dlmone.load(run_dir / "student")
    assert (one.steps, few.steps) == (1, 4)
    assert few.generate(SOURCES[:1]) == one.generate(SOURCES[:1], steps=4)
