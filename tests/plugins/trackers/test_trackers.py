"""The built-in trackers keep their contract, and each tool reads back what was sent."""

import json
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlmone.core import InputError
from dlmone.plugins.trackers.common import markdown, require
from dlmone.plugins.trackers.options import MLflowOptions, TensorBoardOptions, TrackioOptions, WandbOptions
from dlmone.registry import Registry, TrackedRun
from dlmone.testing import check_tracker
from dlmone.testing.contracts.trackers import SAMPLES

#: What each tool has of `check_tracker`'s run, step 1 sent twice with one value.
LOSSES = {("one", 0): 0.5, ("one", 1): 1.5, ("one", 2): 2.5, ("two", 0): 0.5}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tools' files, and their curiosity, within the test."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "WANDB_SILENT"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_names_are_registered() -> None:
    assert Registry.discover().names("trackers") == ["mlflow", "tensorboard", "trackio", "wandb"]


def test_tensorboard(tmp_path: Path) -> None:
    from dlmone.plugins.trackers.tensorboard import TensorBoard

    folder = Path(check_tracker(lambda: TensorBoard(TensorBoardOptions()), tmp_path))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = {}
    for stage in ("one", "two", "final", "recipe"):
        read[stage] = EventAccumulator(str(folder / stage)).Reload()
    found = {(s, event.step): event.value for s in ("one", "two") for event in read[s].Scalars("loss")}
    assert found == LOSSES
    assert read["final"].Scalars("student, 1 calls, BLEU")[0].value == 0.25
    [table] = read["one"].Tensors("samples/text_summary")
    assert table.tensor_proto.string_val[0].decode() == markdown(SAMPLES)
    [recipe] = read["recipe"].Tensors("recipe/text_summary")
    assert "| stages.one.generator.lr | 0.0001 |" in recipe.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize("own", [True, False], ids=["own store", "default store"])
def test_mlflow(tmp_path: Path, own: bool) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from dlmone.plugins.trackers.mlflow import MLflow

    store = (tmp_path / "store").as_uri() if own else None
    identifier = check_tracker(lambda: MLflow(MLflowOptions(uri=store)), tmp_path / "run")
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=store)
    run = client.get_run(identifier)
    assert run.info.status == "FINISHED"
    assert run.data.params["stages.one.generator.lr"] == "0.0001"
    history = {
        (stage, entry.step): entry.value
        for stage in ("one", "two")
        for entry in client.get_metric_history(identifier, f"{stage}/loss")
    }
    assert history == LOSSES
    assert run.data.metrics["final/student_ 1 calls_ BLEU"] == 0.25
    [text] = client.list_artifacts(identifier, "samples")
    assert Path(client.download_artifacts(identifier, text.path)).read_text() == markdown(SAMPLES)


def test_a_store_that_mlflow_does_not_know_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from dlmone.plugins.trackers.mlflow import MLflow

    with pytest.raises(InputError, match=r"trackers: MLflow cannot be used \(.+nowhere://") as caught:
        check_tracker(lambda: MLflow(MLflowOptions(uri="nowhere://store")), tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_trackio(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    from dlmone.plugins.trackers.trackio import Trackio

    check_tracker(lambda: Trackio(TrackioOptions()), tmp_path / "run-1")
    [database] = (tmp_path / "home").rglob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select run_name, step, metrics from metrics").fetchall()
    assert {name for name, _, _ in rows} == {"run-1"}
    values = [(step, json.loads(metrics)) for _, step, metrics in rows]
    found = {
        (stage, step): metrics[f"{stage}/loss"]
        for step, metrics in values
        for stage in ("one", "two")
        if f"{stage}/loss" in metrics
    }
    assert found == LOSSES


def test_wandb_offline(tmp_path: Path) -> None:
    from dlmone.plugins.trackers.wandb import WeightsAndBiases

    folder = tmp_path / "run"
    folder.mkdir()
    identifier = check_tracker(lambda: WeightsAndBiases(WandbOptions(mode="offline")), folder)
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # its service may still be writing

    found, configs = {}, []
    files = sorted(folder.rglob(f"*{identifier}.wandb"))
    assert len(files) == 2, "one for each time that the run was begun or resumed"
    for file in files:
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            row = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            for stage in ("one", "two"):
                if f"{stage}/loss" in row:
                    found[stage, int(row[f"{stage}/step"])] = float(row[f"{stage}/loss"])
            configs += [item.key for item in record.run.config.update]
    assert found == LOSSES
    assert "stages" in configs


def records(data: bytes) -> Iterator[bytes]:
    """Yield the records of wandb's file: a LevelDB log after a header of 7 bytes.

    Its blocks of 32 KiB hold fragments of (checksum, length, kind): 1 whole, 2 first, 3 middle, 4 last.
    """
    position, record = 7, b""
    while position + 7 <= len(data):
        if (left := 2**15 - position % 2**15) < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_a_tool_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r'pip install "dlmone\[wandb\]"'):
        require("wandb", "wandb")


def test_wandb_without_an_account_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlmone.plugins.trackers.wandb import WeightsAndBiases

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(InputError, match='mode = "offline" needs no account'):
        WeightsAndBiases(WandbOptions()).start(TrackedRun("run", "tiny", tmp_path, {}))
