"""The data source `hub`, with a downloader that hands out a local file."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from dlmone.core.errors import InputError
from dlmone.plugins.data import hub
from dlmone.plugins.data.hub import DATASETS, HubSource
from dlmone.plugins.data.options import HubOptions

QQP = DATASETS["qqp"]


def parquet_file(path, rows, columns=("anchor", "positive")):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = [[f" {column} {row}\n" for row in range(rows)] for column in columns]
    parquet.write_table(pyarrow.table(dict(zip(columns, texts, strict=True))), path)
    return path


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    return parquet_file(tmp_path_factory.mktemp("hub") / "pair.parquet", QQP.rows)


def test_qqp_is_cut_into_the_official_splits_by_row_order(whole_file):
    asked = []
    source = HubSource(HubOptions(), download=lambda *what: asked.append(what) or whole_file)
    bounds = {"test": (0, 2_499), "valid": (2_500, 4_547), "train": (4_548, 149_262)}
    for name, (first, last) in bounds.items():
        examples = source.split(name)
        assert len(examples) == last - first + 1
        assert (examples[0].source, examples[0].target) == (f"anchor {first}", f"positive {first}")
        assert (examples[-1].source, examples[-1].target) == (f"anchor {last}", f"positive {last}")
        assert examples[7].id == f"qqp-{name}-7"
    assert set(asked) == {(QQP.repository, QQP.file, QQP.revision)}


def test_the_revision_of_the_options_is_the_one_fetched(whole_file):
    asked = []
    source = HubSource(HubOptions(revision="main"), download=lambda *what: asked.append(what) or whole_file)
    source.split("test")
    assert asked == [(QQP.repository, QQP.file, "main")]


def test_another_number_of_rows_is_refused(tmp_path):
    path = parquet_file(tmp_path / "pair.parquet", 5)
    with pytest.raises(InputError, match=r"has 5 rows where qqp has 149,263"):
        HubSource(HubOptions(), download=lambda *_: path).split("test")


def test_a_file_of_another_kind_is_refused(tmp_path):
    wrong = parquet_file(tmp_path / "wrong.parquet", 5, columns=("anchor", "negative"))
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    for path in (wrong, broken, tmp_path / "missing.parquet"):
        with pytest.raises(InputError, match=r"is no parquet file with columns 'anchor' and 'positive'"):
            HubSource(HubOptions(), download=lambda *_, path=path: path).split("test")


@pytest.mark.parametrize("module", ["pyarrow", "huggingface_hub"])
def test_without_the_extra_the_sentence_says_what_to_install(module, monkeypatch):
    if module == "huggingface_hub":
        pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"pip install \"dlmone\[hub\]\", or use the data source `jsonl`"):
        HubSource(HubOptions()).split("test")


def test_offline_the_sentence_says_what_works(monkeypatch, tmp_path):
    client = pytest.importorskip("huggingface_hub")

    def offline(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(client, "hf_hub_download", offline)
    with pytest.raises(InputError, match=r"\(ConnectionError\): .* `jsonl` with a local path\.$"):
        hub.hub_download(QQP.repository, QQP.file, QQP.revision)


def test_a_downloaded_file_is_handed_on(monkeypatch, tmp_path):
    client = pytest.importorskip("huggingface_hub")
    asked = {}

    def fetch(repository, file, **options):
        asked.update(options, repository=repository, file=file)
        return str(tmp_path / file)

    monkeypatch.setattr(client, "hf_hub_download", fetch)
    monkeypatch.setattr(hub, "is_offline", lambda: False)
    assert hub.hub_download("owner/set", "a.parquet", "main") == tmp_path / "a.parquet"
    assert asked == {
        "repository": "owner/set",
        "file": "a.parquet",
        "revision": "main",
        "repo_type": "dataset",
        "local_files_only": False,
    }


def test_wrong_options():
    with pytest.raises(ValidationError):
        HubOptions(dataset="unknown")


@pytest.mark.parametrize("module", ["hub", "options"])
def test_loading_the_plugin_loads_neither_the_client_nor_pyarrow(module):
    code = f"""
import sys, dlmone.plugins.data.{module}
sys.exit(bool({{'pyarrow', 'huggingface_hub'}} & set(sys.modules)))"""
    subprocess.run([sys.executable, "-c", code], check=True)
