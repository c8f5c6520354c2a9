"""dlmone/models/folder.py: what becomes of broken folders, full disks and kills; always one sentence."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dlmone.core import DlmoneError, Example, InputError
from dlmone.models import folder as module
from dlmone.models.configuration import fingerprint, read_config
from dlmone.models.folder import load_student, publish
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.registry import Registry

REGISTRY = Registry.discover()
OPTIONS = DiffuSeqOptions(
    seq_len=16, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
)
FACTS = {"t_init": 1490, "unit_input": False}
Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def teacher() -> DiffuSeqTeacher:
    return DiffuSeqTeacher.build(OPTIONS, [Example("0", "how is it ?", "what is it")])


@pytest.fixture
def student(teacher: DiffuSeqTeacher, tmp_path: Path) -> Path:
    return publish(tmp_path / "student", teacher, "diffuseq", "student", "card", student=FACTS)


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_student(folder, REGISTRY)
    sentence = str(caught.value)
    assert sentence.startswith(str(folder))
    assert "\n" not in sentence
    return sentence


def config_with(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | changes
        config = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))

    return change


def plugin_config_with(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        config = read_config(folder)["config"] | changes
        config_with(config={key: value for key, value in config.items() if value is not None})(folder)

    return change


def written(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


CANNOT = "the diffuseq plugin cannot rebuild the model"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (written("config.json", b"[]"), "config.json: expected a JSON object, found list"),
        (written("config.json", b"{"), "config.json: malformed JSON at column 2 (Expecting property name"),
        (written("config.json", b"\xff"), "config.json: not UTF-8 at byte 0"),
        (config_with(dlmone=2), 'config.json: expected "dlmone": 1, found 2'),
        (config_with(role=None), "config.json: missing or malformed: role"),
        (config_with(role=["student"]), "config.json: missing or malformed: role"),
        (config_with(teacher=None, config=[]), "config.json: missing or malformed: teacher, config"),
        (config_with(student=None), "missing or malformed: student.t_init, student.unit_input"),
        (config_with(student=FACTS | {"t_init": "late"}), "missing or malformed: student.t_init"),
        (config_with(role="teacher"), "holds a teacher, where a student was expected"),
        (plugin_config_with(options=None), f"{CANNOT} (KeyError: 'options')"),
        (plugin_config_with(vocab_size="all"), f"{CANNOT} (TypeError: "),
        (
            plugin_config_with(options={"layers": 0, "heds": 1}),
            f"{CANNOT} (layers: expected a number greater than or equal to 1; heds: unknown key",
        ),
        (
            plugin_config_with(vocab_size=3),
            f"{CANNOT} (tokenizer.json has 9 tokens, and the embedding 3 rows)",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), f"{CANNOT} (there is no tokenizer.json)"),
        (written("tokenizer.json", b"{}"), f"{CANNOT} (this is no tokenizer: "),
        (written("tokenizer.json", b"\xff"), f"{CANNOT} (this is no tokenizer: "),
        (written("model.safetensors", b"torn"), "model.safetensors: the weights cannot be read"),
        (written("model.safetensors", b""), "model.safetensors is empty: was its writing cut short?"),
        (written("model.safetensors", b"<html>"), "model.safetensors is a web page"),
        (
            written("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
            "model.safetensors is a pointer of Git LFS",
        ),
        (config_with(student=FACTS | {"calls": "two"}), "missing or malformed: student.calls"),
        (config_with(student=FACTS | {"calls": 10**9}), "missing or malformed: student.calls"),
        (config_with(student=FACTS | {"t_init": float("nan")}), "missing or malformed: student.t_init"),
        (config_with(student=FACTS | {"unit_input": 1}), "missing or malformed: student.unit_input"),
        (config_with(student=FACTS | {"spacing": "even"}), "missing or malformed: student.spacing"),
        (config_with(student=FACTS | {"spacing": ["a"]}), "missing or malformed: student.spacing"),
        (config_with(student=FACTS | {"spacing": None}), "missing or malformed: student.spacing"),
        (config_with(student=FACTS | {"size": 3}), "missing or malformed: student.size"),
        (plugin_config_with(vocab_size=10**15), "there is not enough memory for a model of its sizes"),
        (lambda folder: (folder / "model.safetensors").unlink(), "the weights cannot be read"),
    ],
)
def test_a_broken_folder_is_one_sentence_with_its_name(student: Path, change: Change, said: str) -> None:
    change(student)
    assert said in refusal(student)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none").endswith("there is no such model folder")


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")],
)
def test_a_full_disk_leaves_the_published_folder_as_it_was(
    teacher: DiffuSeqTeacher, student: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    before = {path.name: path.read_bytes() for path in student.iterdir()}

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"the first par")
        raise failure

    monkeypatch.setattr(module, "save_tensors", full)
    for folder in (student, student.with_name("new")):
        with pytest.raises(
            DlmoneError, match=f"^{folder}: the model cannot be written .*No space left"
        ) as said:
            publish(folder, teacher, "diffuseq", "student", "other card", student=FACTS)
        assert "\n" not in str(said.value)
    assert [path.name for path in student.parent.iterdir()] == ["student"]
    assert {path.name: path.read_bytes() for path in student.iterdir()} == before


def test_permission_that_is_denied_is_the_reason(
    teacher: DiffuSeqTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "model.safetensors")

    monkeypatch.setattr(module, "save_tensors", denied)
    with pytest.raises(DlmoneError, match=r"the model cannot be written \(Permission denied\)$"):
        publish(tmp_path / "s", teacher, "diffuseq", "student", "card", student=FACTS)


class Killed(BaseException):
    """Stands for SIGKILL, after which nothing is cleaned up: the test takes rmtree away as well."""


def test_a_kill_between_the_renames_loses_no_model(
    teacher: DiffuSeqTeacher, student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if "-staging-" in path.name:
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            publish(student, teacher, "diffuseq", "student", "second", student=FACTS)
    assert sorted(path.name.rstrip("0123456789") for path in student.parent.iterdir()) == [
        ".student-old-",
        ".student-staging-",
    ]
    assert read_config(student)["student"] == FACTS
    loaded = load_student(student, REGISTRY)
    assert all(map(torch.equal, loaded.network.parameters(), teacher.network.parameters()))

    publish(student, teacher, "diffuseq", "student", "third", student=FACTS)
    assert [path.name for path in student.parent.iterdir()] == ["student"]
    assert (student / "README.md").read_text() == "third"


def test_publishing_sweeps_what_killed_processes_left_of_this_folder_only(
    teacher: DiffuSeqTeacher, student: Path
) -> None:
    others = {".student-staging-copy", ".student-staging-2-staging-1", ".teacher-old-1"}
    for name in (".student-staging-1", ".student-old-2", *others):
        (student.parent / name).mkdir()
    publish(student, teacher, "diffuseq", "student", "card", student=FACTS)
    assert {path.name for path in student.parent.iterdir()} == {"student", *others}


@pytest.mark.parametrize("spacing", ["log_snr", [900, 400]])
def test_a_student_keeps_the_times_of_its_calls(tiny_run: Path, tmp_path: Path, spacing: object) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_run / "student", folder)
    config = json.loads((folder / "config.json").read_text())
    plain = load_student(folder, Registry.discover()).call_times(3)
    config["student"]["spacing"] = spacing
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors", metadata={"config": json.dumps(config)})
    times = load_student(folder, Registry.discover()).call_times(3)
    assert times != plain
    assert spacing == "log_snr" or times == [1490, 900, 400]


def test_times_that_a_student_cannot_have_are_refused(teacher: DiffuSeqTeacher, tmp_path: Path) -> None:
    facts = FACTS | {"spacing": [5000]}
    folder = publish(tmp_path / "s", teacher, "diffuseq", "student", "card", student=facts)
    assert "config.json: student.spacing: named times must fall" in refusal(folder)


def test_a_damaged_copy_of_the_configuration_is_a_sentence(student: Path) -> None:
    tensors = load_file(student / "model.safetensors")
    for copy in ("{", "[" * 100_000, "[]"):
        save_file(tensors, student / "model.safetensors", metadata={"config": copy})
        refusal(student)


def test_a_teachers_weights_with_a_students_configuration(tiny_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_run / "student", tmp_path / "student")
    shutil.copy(tiny_run / "teacher" / "model.safetensors", folder)
    with pytest.raises(InputError, match='role is "student", and "teacher" in the copy') as caught:
        load_student(folder, Registry.discover())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("heads", 1, "config.options.heads is 1, and 2 in the copy"),
        ("dropout", 0.5, "config.options.dropout is 0.5, and 0.1 in the copy"),
    ],
)
def test_an_edited_configuration_is_refused(
    tiny_run: Path, tmp_path: Path, key: str, value: object, said: str
) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_run / "student", folder)
    config = json.loads((folder / "config.json").read_text())
    config["config"]["options"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=said):
        load_student(folder, Registry.discover())


def test_an_edited_tokenizer_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_run / "student", folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["how"], vocabulary["what"] = vocabulary["what"], vocabulary["how"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match=r"tokenizer.json: not the file that the model was saved with"):
        load_student(folder, Registry.discover())


def test_a_fingerprint_covers_the_configuration(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_run / "student", folder)
    assert fingerprint(folder) == fingerprint(tiny_run / "student")
    # Another tool wrote the weights again, without the copy of the configuration that would be compared.
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")
    before = fingerprint(folder)
    config = json.loads((folder / "config.json").read_text())
    config["config"]["options"]["heads"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    load_student(folder, Registry.discover())
    assert fingerprint(folder) != before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(
    tiny_run: Path, tmp_path: Path, value: float
) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_run / "student", folder)
    tensors = load_file(folder / "model.safetensors")
    name = "space.word_embedding.weight"
    tensors[name][:2] = value
    config = (folder / "config.json").read_text()
    save_file(tensors, folder / "model.safetensors", metadata={"config": config})
    with pytest.raises(InputError, match=rf"model.safetensors: {name} has 16 weights that are not finite"):
        load_student(folder, Registry.discover())


@pytest.mark.parametrize("time", [2000, 10**30, -1, 0.5])
def test_a_student_begins_within_its_schedule(teacher: DiffuSeqTeacher, tmp_path: Path, time: float) -> None:
    folder = publish(tmp_path / "s", teacher, "diffuseq", "student", "card", student=FACTS | {"t_init": time})
    assert "config.json: student.t_init: " in refusal(folder)
