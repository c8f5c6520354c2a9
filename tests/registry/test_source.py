"""registry/source.py: an edited plugin that is installed in place has another version."""

import re
from pathlib import Path

import pytest

from dlmone.registry import Registry
from dlmone.registry.source import source_files


def test_a_package_that_is_installed_in_place_has_the_hash_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version() -> str:
        [plugin] = (one for one in Registry.discover().describe() if one["name"] == "edited_here")
        return plugin["version"]

    module, info = tmp_path / "edited_here.py", tmp_path / "dlm_edited-1.0.dist-info"
    module.write_text("from dlmone.registry import hookimpl\n\n@hookimpl\ndef run_finished(run_dir): ...\n")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dlm-edited\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dlmone]\nedited_here = edited_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version() == "1.0"
    told = info / "direct_url.json"
    told.write_text('{"url": "file:///here", "dir_info": {}}')
    assert version() == "1.0"
    told.write_text('{"url": "file:///here", "dir_info": {"editable": true}}')
    first = version()
    assert re.fullmatch(r"1\.0\+sha256:[0-9a-f]{12}", first)
    assert version() == first
    with module.open("a") as file:
        file.write("# edited\n")
    assert re.fullmatch(r"1\.0\+sha256:[0-9a-f]{12}", version())
    assert version() != first


def test_the_hash_is_of_the_package_and_survives_what_is_nosource_files(tmp_path: Path) -> None:
    """Of a namespace package only its own part; each file with its name; no folder, no dangling link."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        package = tmp_path / "corp_space" / "plug"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("x = 1\n")
        (package / "folder.py").mkdir()
        (package / ".#lock.py").symlink_to("nowhere")
        (tmp_path / "corp_space" / "other").mkdir()
        other = tmp_path / "corp_space" / "other" / "__init__.py"
        other.write_text("y = 1\n")
        [(name, file)] = source_files("corp_space.plug")
        assert (name, file) == ("__init__.py", package / "__init__.py")
        (package / "inner.py").write_text("")
        assert [name for name, _ in source_files("corp_space.plug.inner")] == ["__init__.py", "inner.py"]
        assert [*source_files("corp_space.nothing_here")] == []
