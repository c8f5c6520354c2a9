"""The documentation's site builds without a warning, and has a page for everything."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-P", "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(out)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    return out


def test_every_page_is_in_the_contents(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert f'href="{page.stem}.html"' in index or page.stem == "index"


def test_the_references_are_those_of_the_code(site: Path) -> None:
    from dlmone import core
    from dlmone.cli import main

    commands = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f'id="dlmone-{name}"' in commands
        for parameter in command.params:
            for option in parameter.opts:
                assert option in commands or not option.startswith("--")
    page = (site / "reference" / "core.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="dlmone\.core(?:\.\w+)+\.(\w+)"', page))
    classes = {name for name in core.__all__ if isinstance(getattr(core, name), type)}
    assert classes - documented == set()


def test_links_name_pages_by_their_titles(site: Path) -> None:
    page = (site / "tutorial.html").read_text(encoding="utf-8")
    texts = [
        re.sub(r"<[^>]+>", "", text) for text in re.findall(r'<a class="reference [^>]*>(.*?)</a>', page)
    ]
    assert "Writing a teacher" in texts
    assert "Keys of a recipe" in texts  # of a page in a folder
    assert [text for text in texts if text.endswith(".md")] == []


def test_formulas_need_no_network(site: Path) -> None:
    pytest.importorskip("sphinx-mathjax-offline")
    page = (site / "equations.html").read_text(encoding="utf-8")
    [script] = re.findall(r'src="([^"]*mathjax[^"]*)"', page)
    assert (site / script.partition("?")[0]).is_file()
