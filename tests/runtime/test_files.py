"""dlmone/runtime/files.py: a folder is whole or not there, whatever fails and whenever it is killed."""

import os
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from dlmone.runtime import files
from dlmone.runtime.files import atomic_folder, whole_folder, write_whole


def write(target: Path, text: str) -> None:
    with atomic_folder(target) as folder:
        (folder / "a").write_text(text)
        (folder / "b").mkdir()
        (folder / "b" / "c").write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def whole(text: str) -> dict[str, str]:
    return {"a": text, "b/c": text}


def test_a_folder_is_made_with_its_parents_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x"
    for text in ("one", "two"):
        write(target, text)
        assert content(target) == whole(text)
    assert [path.name for path in target.parent.iterdir()] == ["x"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "x", "one")
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "x") as folder:
        shutil.copy(tmp_path / "nowhere", folder / "a")
    assert content(tmp_path / "x") == whole("one")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


class Killed(BaseException):
    """Stands for SIGKILL, after which nothing is cleaned up: the test takes rmtree away as well."""


@pytest.mark.parametrize("moment", range(10))
def test_a_kill_at_any_moment_leaves_one_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Each write, sync and rename is a moment to be killed before."""
    target = tmp_path / "x"
    write(target, "one")
    passed = 0

    def dying(call):
        def step(*args, **named):
            nonlocal passed
            if passed == moment:
                raise Killed
            passed += 1
            return call(*args, **named)

        return step

    with monkeypatch.context() as patch:
        for name in ("rename", "mkdir", "write_text"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr(files, "_sync", dying(files._sync))
        if moment < 9:
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            with pytest.raises(Killed):
                write(target, "two")
        else:
            write(target, "two")
    # mkdir, the file, a folder and its file, two syncs of files, two renames, the sync of the parent
    assert passed == min(moment, 9)
    assert content(whole_folder(target)) == whole("one" if moment < 8 else "two")
    write(target, "three")
    assert content(whole_folder(target)) == content(target) == whole("three")
    assert os.listdir(tmp_path) == ["x"]


@contextmanager
def small_disk():
    """Let no file grow beyond a few bytes, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("the good one")
    with pytest.raises(OSError, match="File too large") as caught, small_disk():
        write_whole(path, "a longer one")
    assert caught.value.filename == str(path)
    assert path.read_text() == "the good one"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_file_is_written_through_a_link_and_into_a_device(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    write_whole(loop, "new")
    assert loop.read_text() == "new"
    write_whole(Path(os.devnull), "lost")
    assert not Path(os.devnull).is_file()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, "x")
