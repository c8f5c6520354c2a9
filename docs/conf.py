"""Sphinx's configuration: `sphinx-build -W docs site` makes the documentation's pages."""

import posixpath
import re
from importlib.metadata import version as version_of
from importlib.util import find_spec
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

project = "dlmone"
author = "The dlmone maintainers"
copyright = f"2026, {author}"
version = release = version_of("dlmone")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_click",
    "sphinx_copybutton",
]
# MathJax goes with the pages, which then need no network; without this package they load it from its CDN.
if find_spec("sphinx-mathjax-offline"):
    extensions.append("sphinx-mathjax-offline")
html_theme = "furo"
html_title = f"dlmone {version}"
exclude_patterns = ["_build"]

# The pages are also read on the repository's own site, so links and anchors are those of Markdown there.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# Files of the repository that a page links to are there to be read, not pages.
suppress_warnings = ["myst.xref_missing"]

# Docstrings: Google's sections; a name in backticks is a link where it can be one.
default_role = "py:obj"
napoleon_google_docstring = True
napoleon_use_ivar = True
napoleon_custom_sections = [("Keywords", "params_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _keep_stars)
    app.connect("doctree-resolved", _name_by_title)


def _name_by_title(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Name a page by its title where the text of a link is its file, as it is to be in the repository."""
    for link in doctree.findall(nodes.reference):
        page, suffix, rest = link.astext().partition(".md")
        title = app.env.titles.get(posixpath.normpath(posixpath.join(posixpath.dirname(docname), page)))
        if link.get("internal") and suffix and not rest and title is not None:
            link.children = [nodes.Text(title.astext())]


def _keep_stars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Shapes such as [B, *state_shape] are no emphasis."""
    lines[:] = [re.sub(r"\*(\w*shape)\b", r"\\*\1", line) for line in lines]
