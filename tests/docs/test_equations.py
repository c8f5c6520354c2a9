"""docs/equations.md: every place and every test that it names exists, and no equation is left out."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
#: The paper numbers (1) MESM, (2) its x0 form, (3) DSM, (4) SiD, (5) and (6) the adversarial losses.
EQUATIONS = 6
REFERENCE = re.compile(r"`([\w/]+\.py)::(\w+(?:\.\w+)*)`")
REFERENCES = REFERENCE.findall(PAGE)


def names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Yield the classes, functions and constants of a module, and those of its classes as ``Class.name``."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))
        if isinstance(node, ast.ClassDef):
            yield from names(node.body, f"{prefix}{node.name}.")


@cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / file
    return frozenset(names(ast.parse(path.read_text(encoding="utf-8")).body) if path.is_file() else ())


def exists(file: str, symbol: str) -> bool:
    is_test = not file.startswith("tests/") or symbol.startswith("test_")
    return is_test and symbol in names_in(file)


def test_what_the_page_names_exists() -> None:
    assert len(REFERENCES) == PAGE.count("::") > EQUATIONS, "a name is not written as `path.py::symbol`"
    missing = [f"{file}::{symbol}" for file, symbol in REFERENCES if not exists(file, symbol)]
    assert not missing, f"docs/equations.md names what does not exist: {', '.join(missing)}"


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("core/loss.py", "sid_loss"),
        ("core/step/losses.py", "sid"),
        ("plugins/sid/objective.py", "match"),
        ("plugins/sid/objective.py", "SiD.mach"),
        ("tests/core/step/test_oracle.py", "distil"),
        ("tests/core/step/test_oracle.py", "test_the_student_becomes_the_date"),
    ],
)
def test_what_does_not_exist_is_found(file: str, symbol: str) -> None:
    assert not exists(file, symbol)


def test_every_equation_of_the_paper_has_its_entry() -> None:
    entries = re.findall(r"^\*\*Eq\. \((\d+)\)", PAGE, re.MULTILINE)
    assert sorted(map(int, entries)) == list(range(1, EQUATIONS + 1))
