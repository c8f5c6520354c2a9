"""dlmone/training/saving/run_directory.py: one run at a time, entries rewound, folders numbered."""

import json
from pathlib import Path

import pytest

from dlmone.core import DlmoneError, InputError
from dlmone.training.saving.run_directory import RunDirectory, latest_run_path, new_run_path


def test_a_run_directory_in_use_is_refused(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run")
    first.open()
    with pytest.raises(InputError, match="in use"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_rewinding_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    run_dir = RunDirectory(tmp_path)
    for stage, step in (("a", 0), ("a", 5), ("b", 0), ("b", 3), ("b", 4)):
        run_dir.log(stage, step, {"kind": "train"})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "b", "st')  # torn by a kill
    run_dir.rewind("b", 3)
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["stage"], entry["step"]) for entry in entries] == [("a", 0), ("a", 5), ("b", 0), ("b", 3)]


@pytest.mark.parametrize(
    "other", [b"\xff\xfe\0", b"caf\xe9", b"[1]", b"{}", b'{"stage": "b", "step": "x"}', b"[" * 10**5]
)
def test_rewinding_keeps_what_is_no_entry(tmp_path: Path, other: bytes) -> None:
    run_dir = RunDirectory(tmp_path)
    run_dir.log("b", 3, {})
    log = tmp_path / "metrics.jsonl"
    before = log.read_bytes() + other + b"\n"
    log.write_bytes(before)
    run_dir.log("b", 4, {})
    run_dir.rewind("b", 3)
    assert log.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_run_goes_on_from_the_models_that_it_began_from(tmp_path: Path, tiny_run: Path) -> None:
    run_dir, key = RunDirectory(tmp_path), "stages.stage-1.start"
    began = run_dir.check_models({key: tiny_run / "student"})
    assert began[key]["path"] == str(tiny_run / "student")
    run_dir.write_manifest([], 0, "cpu", [], began)
    assert run_dir.check_models({key: tiny_run / "student"}) == began
    with pytest.raises(InputError, match=f"{key}: .* is not the model that this run began from"):
        run_dir.check_models({key: tiny_run / "teacher"})


def test_a_model_of_the_runs_own_is_not_exchanged(tmp_path: Path, tiny_run: Path) -> None:
    run_dir = RunDirectory(tmp_path)
    run_dir.write_manifest([], 0, "cpu", [], {})
    run_dir.note_model("teacher", tiny_run / "teacher")
    remembered = run_dir.check_models({})
    run_dir.write_manifest([], 0, "cpu", [], remembered)
    run_dir.note_model("teacher", tiny_run / "teacher")
    with pytest.raises(InputError, match="teacher: student is not the model that this run began from"):
        run_dir.note_model("teacher", tiny_run / "student")


def test_plugins_that_are_others_on_resuming_are_named(tmp_path: Path) -> None:
    run_dir = RunDirectory(tmp_path)
    before = [{"name": name, "distribution": f"dlm-{name}", "version": "1.0"} for name in ("a", "b")]
    assert run_dir.changed_plugins(before) == [], "a new run"
    run_dir.write_manifest([], 0, "cpu", before, {})
    assert run_dir.changed_plugins([*before, {"name": "c", "distribution": "dlm-c", "version": "1.0"}]) == []
    edited = [{**before[1], "name": name, "version": "1.0+sha256:ab"} for name in ("b", "d")]
    [sentence] = run_dir.changed_plugins([before[0], *edited])
    assert sentence.startswith(
        "the plugins of dlm-b are of version 1.0+sha256:ab now, which this run has not"
    )
    (tmp_path / "manifest.json").write_text("[]")
    assert run_dir.changed_plugins(before) == []


def test_a_full_disk_names_the_log_and_the_way_on(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.symlink_to("/dev/full")
    with pytest.raises(
        DlmoneError, match=rf"^{log}: cannot be written \(No space left on device\); --resume"
    ):
        RunDirectory(tmp_path).log("a", 0, {"kind": "train"})


def test_run_directories_are_numbered(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run"):
        latest_run_path(tmp_path, "qqp", "quick")
    for number in range(1, 12):
        path = new_run_path(tmp_path, "qqp", "quick")
        assert path.name == f"qqp-quick-{number}"
        path.mkdir()
    (tmp_path / "qqp-quick-draft").mkdir()
    assert latest_run_path(tmp_path, "qqp", "quick").name == "qqp-quick-11"
    for pattern in ("*", "[q]qp", "??p"):
        with pytest.raises(InputError, match="no run"):
            latest_run_path(tmp_path, pattern, "quick")
