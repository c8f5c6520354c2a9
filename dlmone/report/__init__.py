"""Write reports: one or more runs as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone.core.errors import DlmoneError, InputError

if TYPE_CHECKING:
    from dlmone.registry import Registry

#: Path of a run's page in its directory.
PAGE = Path("report", "index.html")


def write_report(
    paths: Sequence[Path],
    out: Path,
    registry: Registry,
    *,
    title: str | None = None,
    selector: str | None = None,
    figures: Path | None = None,
) -> Path:
    """Write a self-contained page about runs and return its path.

    Args:
        paths: run directories, finished or not.
        out: path of the page.
        registry: provides evaluators and selectors.
        title: the page's title; the runs' recipes if not given.
        selector: the selector plugin that picks one of several candidates; the default one if None.
        figures: a folder in which to save every figure as a PNG.

    Raises:
        InputError: a path holds no run, or something else lies where the page or its figures are to be.
        PluginError: there is no selector of that name.
        DlmoneError: a plotting library is not installed, or the page cannot be written.
    """
    _require("matplotlib", "jinja2")
    from dlmone.runtime.files import reason_of, write_whole

    from .candidates import select
    from .figures.drawing import style
    from .page import make_page
    from .plugins import RunPlugins
    from .reading import read_runs

    if str(out) == "-":
        raise InputError("-o -: a page is written to a file; name one")
    if out.is_dir():
        raise InputError(f"{out}: a folder, where the page's file was expected")
    if figures and figures.exists() and not figures.is_dir():
        raise InputError(f"{figures}: a file, where the figures' folder was expected")
    if out.is_file() and out.stat().st_size and not _is_page(out):
        raise InputError(f"{out} is there already and is no page of a report; name another file")
    runs = read_runs(paths)
    selector = selector or registry.defaults("selectors")[0]
    registry.entry("selectors", selector, "--select")
    plugins = {run.name: RunPlugins.of(run, registry) for run in runs}
    selections = {run.name: select(run, plugins[run.name].evaluators, registry, selector) for run in runs}
    names = dict.fromkeys(str(run.recipe.get("name", run.name)) for run in runs)
    with style():
        page = make_page(title or f"dlmone: {', '.join(names)}", runs, selections, plugins)
        files = {out: page.html().encode("utf-8")}
        if figures:
            files |= {figures / f"{picture.name}.png": picture.data("png") for picture in page.pictures}
    for path in files.keys() - {out}:
        if path.is_file() and not _is_figure(path):
            raise InputError(f"{path} is there already and is no figure of a report; name another folder")
    for path, content in files.items():
        try:
            write_whole(path, content)
        except OSError as error:
            raise DlmoneError(f"{path}: cannot be written ({reason_of(error)})") from None
    return out


def _is_page(path: Path) -> bool:
    """Tell whether a file is an HTML page, which a new report may replace."""
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith(b"<!doctype html")


def _is_figure(path: Path) -> bool:
    """Tell whether a file is a figure that a report may have written, which a new one may replace."""
    from .figures.drawing import SOFTWARE

    with path.open("rb") as file:
        head = file.read(500)
    return any(f"Software\0{maker}".encode() in head for maker in (SOFTWARE, "Matplotlib"))


def _require(*libraries: str) -> None:
    for library in libraries:
        try:
            __import__(library)
        except ImportError as error:
            raise DlmoneError(f"a report needs {library} ({error}); pip install {library}") from None
