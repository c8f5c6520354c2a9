"""docs/figures.py draws every figure of the pages, and those that are there are what it draws now."""

import importlib.util
import io
import re
from pathlib import Path
from types import ModuleType

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *DOCS.glob("*.md")]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_figure_is_listed_and_shown(figures: ModuleType) -> None:
    there = {path.name for path in DOCS.glob("**/*.png")}
    shown = {name for page in PAGES for name in re.findall(r"\((?:docs/)?([\w-]+\.png)\)", page.read_text())}
    assert {f"{name}.png" for name in figures.FIGURES} == there == shown


def test_a_figure_is_what_is_drawn_now(figures: ModuleType) -> None:
    for path, content in figures.draw_all():
        if matplotlib.__version__.encode() not in path.read_bytes()[:200]:
            pytest.skip("they were drawn by another version of matplotlib")
        drawn, there = imread(io.BytesIO(content)), imread(path)
        assert drawn.shape == there.shape, f"{path.name} is outdated: python docs/figures.py"
        assert np.abs(drawn - there).mean() < 1e-3, f"{path.name} is outdated: python docs/figures.py"


def test_numbers_of_the_tables(figures: ModuleType) -> None:
    row = {"NFE": "2,000", "fidelity": "0.983 (0.979–0.985)", "copy": "0.5"}
    assert figures.point(row, "fidelity") == (2000, 0.983, (0.979, 0.985))
    assert figures.point(row, "copy") == (2000, 0.5, None)
    rows = figures.table("results.md", "NFE", "fidelity", "self-BLEU", "ms a sample")
    assert [row["NFE"] for row in rows if row[""] == "student, stage-2"] == ["1", "2", "4"]
