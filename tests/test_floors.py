"""The house's floors: an import goes down, never up, and no floor but the plugins' own names a plugin."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlmone.registry import Registry
from dlmone.registry.catalogue import KINDS

ROOT = Path(__file__).parent.parent
#: The folders at the root, as they are imported.
FLOORS = {
    "core": "dlmone.core",
    "registry": "dlmone.registry",
    "plugins": "dlmone.plugins",
    "dlmone": "dlmone",
}
FILES = [path.relative_to(ROOT) for folder in FLOORS for path in sorted((ROOT / folder).rglob("*.py"))]
#: Libraries of floor 3 that several plugins use, which offer no plugin themselves.
SHARED = ("dlmone.plugins.bert", "dlmone.plugins.text")
#: The rooms of floor 4, in the order in which they can be read: each knows those before it.
ROOMS = (
    "runtime",
    "evaluation",
    "generation",
    "models",
    "training",
    "benchmark",
    "report",
    "ablation",
    "serving",
    "testing",
    "cli",
)
#: What a string must look like to be taken for a reference to a module: the target of a lazy import.
TARGET = re.compile(r"dlmone(\.\w+)+(:\w+)?")


@dataclass(frozen=True)
class Reference:
    """A module that a file imports, or names in a string."""

    module: str
    line: int


def module_of(file: Path) -> str:
    """Return a file's dotted name: ``plugins/sid/options.py`` is ``dlmone.plugins.sid.options``."""
    folder, *rest = file.with_suffix("").parts
    return ".".join([FLOORS[folder], *(part for part in rest if part != "__init__")])


def references(file: Path, text: str) -> Iterator[Reference]:
    """Yield what a file refers to, wherever in it: imports inside functions and string targets too."""
    package = module_of(file) if file.name == "__init__.py" else module_of(file).rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Reference(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            # `from dlmone import training` names a module as well as `import dlmone.training` does.
            yield from (Reference(f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and TARGET.fullmatch(node.value):
            yield Reference(node.value.replace(":", "."), node.lineno)


def inside(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def ours(module: str) -> bool:
    return inside(module, "dlmone")


def core(module: str, file: Path) -> bool:
    if ours(module):
        return inside(module, "dlmone.core")
    return module.split(".")[0] in {*sys.stdlib_module_names, "torch", "einops", "numpy", "lazy_loader"}


def registry(module: str, file: Path) -> bool:
    # `dlmone.recipes` holds data, not code: the recipes that are shipped.
    return not ours(module) or inside(module, "dlmone.core", "dlmone.registry", "dlmone.recipes")


def plugins(module: str, file: Path) -> bool:
    own = ".".join(module_of(file).split(".")[:3])
    return not ours(module) or inside(module, "dlmone.core", "dlmone.registry", *SHARED, own)


def top(module: str, file: Path) -> bool:
    if not inside(module_of(file), "dlmone.cli", "dlmone.__main__") and inside(module, "dlmone.cli"):
        return False
    room, other = (name.split(".")[1:2] for name in (module_of(file), module))
    if {*room, *other} <= {*ROOMS} and room and other:
        return ROOMS.index(other[0]) <= ROOMS.index(room[0])
    return not inside(module, "dlmone.plugins")


RULES: dict[str, Callable[[str, Path], bool]] = {
    "core": core,
    "registry": registry,
    "plugins": plugins,
    "dlmone": top,
}


def violations(file: Path, text: str) -> list[str]:
    allowed = RULES[file.parts[0]]
    return [
        f"{file}:{reference.line} may not know {reference.module}"
        for reference in references(file, text)
        if not allowed(reference.module, file)
    ]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_go_down(file: Path) -> None:
    assert violations(file, (ROOT / file).read_text(encoding="utf-8")) == []


def test_core_can_be_read_in_an_evening() -> None:
    """Docstrings count, blank lines and comments don't."""
    lines = (line.strip() for path in (ROOT / "core").rglob("*.py") for line in path.open(encoding="utf-8"))
    assert sum(bool(line) and not line.startswith("#") for line in lines) <= 2_500


def test_every_floor_was_looked_at() -> None:
    assert {file.parts[0] for file in FILES} == set(FLOORS)
    assert {file.parts[1] for file in FILES if file.parts[0] == "dlmone" and file.parts[2:]} == {*ROOMS}


@pytest.mark.parametrize(
    ("file", "line", "module"),
    [
        ("core/step/losses.py", "import dlmone.registry", "dlmone.registry"),
        ("core/step/losses.py", "from dlmone import generate", "dlmone.generate"),
        ("core/step/losses.py", "from ...registry import hookimpl", "dlmone.registry.hookimpl"),
        ("core/step/losses.py", "from ... import training", "dlmone.training"),
        ("core/__init__.py", "from ..training.run import run", "dlmone.training.run.run"),
        ("core/step/losses.py", "import pydantic", "pydantic"),
        (
            "core/step/losses.py",
            "def f():\n    from safetensors.torch import save_file",
            "safetensors.torch.save_file",
        ),
        ("core/step/losses.py", "import_module('dlmone.plugins.sid')", "dlmone.plugins.sid"),
        ("registry/hooks.py", "from dlmone.training import run", "dlmone.training.run"),
        ("registry/hooks.py", "from dlmone.plugins.sid import options", "dlmone.plugins.sid.options"),
        (
            "plugins/sid/objective.py",
            "from dlmone.training.updates.update import Update",
            "dlmone.training.updates.update.Update",
        ),
        ("plugins/sid/objective.py", "import dlmone.cli", "dlmone.cli"),
        ("plugins/sid/objective.py", "from ..metrics import bleu", "dlmone.plugins.metrics.bleu"),
        ("plugins/sid/objective.py", "from dlmone.plugins import metrics", "dlmone.plugins.metrics"),
        (
            "plugins/sid/__init__.py",
            "X = 'dlmone.plugins.metrics.bleu:Bleu'",
            "dlmone.plugins.metrics.bleu.Bleu",
        ),
        (
            "dlmone/training/run.py",
            "from dlmone.plugins.sid.objective import SiD",
            "dlmone.plugins.sid.objective.SiD",
        ),
        ("dlmone/training/run.py", "from dlmone import plugins", "dlmone.plugins"),
        ("dlmone/training/run.py", "from ..cli import main", "dlmone.cli.main"),
        ("dlmone/evaluation/table.py", "import dlmone.training.loop", "dlmone.training.loop"),
        (
            "dlmone/models/load.py",
            "def f():\n    from ..training import run",
            "dlmone.training.run",
        ),
        ("dlmone/cli/run.py", "load('dlmone.plugins.sid.objective:SiD')", "dlmone.plugins.sid.objective.SiD"),
        ("dlmone/testing/toy.py", "import dlmone.plugins.questions", "dlmone.plugins.questions"),
    ],
)
def test_a_violation_is_found(file: str, line: str, module: str) -> None:
    last = 1 + line.count("\n")
    assert violations(Path(file), f"{line}\n") == [f"{file}:{last} may not know {module}"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core/step/losses.py", "import math, torch.nn.functional, numpy as np\nfrom einops import reduce"),
        ("core/step/losses.py", "from .errors import InputError\nfrom dlmone.core import Batch"),
        ("core/step/losses.py", '"""Docstrings may speak of dlmone.training and dlmone.plugins."""'),
        ("registry/loading/recipe.py", "import pydantic, pluggy\nfrom dlmone.core.errors import InputError"),
        (
            "plugins/sid/__init__.py",
            "from dlmone.registry import hookimpl\nX = 'dlmone.plugins.sid.options:O'",
        ),
        ("plugins/sid/objective.py", "from .options import SiDOptions\nimport bert_score"),
        ("plugins/diffuseq/space.py", "from dlmone.plugins.bert.tokenizer import Tokenizer"),
        ("dlmone/cli/run.py", "from dlmone.training import run\nfrom ..training.run import run"),
        ("dlmone/training/run.py", "from dlmone.registry import Registry\nimport safetensors"),
    ],
)
def test_what_is_allowed_is_not_found(file: str, line: str) -> None:
    assert violations(Path(file), f"{line}\n") == []


# Names in strings: what a plugin offers, logs or writes is known to plugins (and recipes) alone.

#: Offered names that are ordinary words too: as words they are no reference.
WORDS = {"causal", "characters", "distinct", "diversity", "health", "hub", "jsonl", "pad", "pretrained"}
WORDS |= {"dataset", "files", "questions", "regression", "words"}
#: What built-in plugins put into a log, a table or a file, besides the names that they are offered under.
WRITTEN = {
    "BERT's markers": ("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"),
    "a teacher's": ("DiffuSeq",),
    "DiffuSeq's file format": ("recover", "seed*_step*.json"),
    "a logged value": ("d_real", "d_fake", "mu"),
    "a logged value of core's": ("teacher_estimator_gap", "estimator_lag", "gap_weighted", "lag_weighted"),
    "a score": (
        *("fidelity", "coverage", "self_bleu", "div_4", "empty_rate", "repetition_rate", "mean_words"),
        *("near_copy_rate", "unknown_rate", "rouge1", "rouge2", "rougeL"),
        *("corpus_distinct", "output_distinct"),
    ),
}
#: In core, a formula may have the name of the method that it belongs to.
FORMULAS = {"core": {"sid", "sds", "diffusion_gan", "ddim", *WRITTEN["a logged value of core's"]}}
#: Arguments whose strings are shown to people as examples.
SHOWN = ("help", "metavar")


def offered() -> set[str]:
    """Return every name that the built-in plugins offer."""
    registry = Registry.discover()
    # Readers of rows are named after the endings of files, which everybody knows.
    names = [(kind, name) for kind in KINDS if kind != "row_readers" for name in registry.names(kind)]
    entries = (entry for kind, name in names for entry in registry.claims(kind, name))
    return {entry.name for entry in entries if entry.distribution == "dlmone"} - WORDS


NAMES = sorted({*offered(), *(name for names in WRITTEN.values() for name in names)}, key=len, reverse=True)
KNOWN = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, NAMES)) + r")(?![\w-])")


def strings(text: str) -> Iterator[tuple[str, int]]:
    """Yield the string constants that are no docstrings and not shown as help, with their lines."""
    tree = ast.parse(text)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in SHOWN:
            skipped |= {id(below) for below in ast.walk(node.value)}
        # A string that stands alone is a docstring, of a module, class, function or attribute.
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value, node.lineno


def named(file: Path, text: str) -> list[str]:
    allowed = FORMULAS.get(file.parts[0], set())
    return [
        f"{file}:{line} names {name!r}"
        for string, line in strings(text)
        for name in dict.fromkeys(KNOWN.findall(string))
        if name not in allowed
    ]


@pytest.mark.parametrize("file", [file for file in FILES if file.parts[0] != "plugins"], ids=str)
def test_no_string_names_what_a_plugin_offers(file: Path) -> None:
    assert named(file, (ROOT / file).read_text(encoding="utf-8")) == []


def test_texts_of_the_report_name_no_plugin() -> None:
    for file in (*(ROOT / "dlmone").rglob("*.toml"), *(ROOT / "dlmone").rglob("*.j2")):
        # The paper's own words, such as DiffuSeq's fidelity, are no names of plugins.
        assert offered() & set(re.findall(r"[\w-]+", file.read_text(encoding="utf-8"))) == set(), file


@pytest.mark.parametrize(
    ("file", "line", "name"),
    [
        ("dlmone/models/load.py", 'SAMPLER = "ddim"', "ddim"),
        ("dlmone/evaluation/provenance.py", "WORDS = f'{x}: renoise'", "renoise"),
        ("dlmone/training/stage.py", "SHOWN = ('loss', 'd_real')", "d_real"),
        ("dlmone/training/stage.py", "SHOWN = ('score/teacher_estimator_gap',)", "teacher_estimator_gap"),
        ("dlmone/evaluation/comparison.py", "re.sub('[CLS]', '', text)", "[CLS]"),
        ("dlmone/evaluation/samples.py", "PATTERN = 'seed*_step*.json'", "seed*_step*.json"),
        ("dlmone/evaluation/samples.py", "is_official = b'x' in first or 'recover' in row", "recover"),
        ("dlmone/report/measures.py", "ORDER = ('fidelity',)", "fidelity"),
        ("dlmone/cli/evaluate.py", "METRICS = 'bleu,copy_rate'", "bleu"),
        ("dlmone/cli/evaluate.py", "option('--select', default='mbr', help='as mbr')", "mbr"),
        ("dlmone/models/folder.py", "raise InputError('try dlmone convert diffuseq')", "diffuseq"),
        ("core/step/losses.py", "x = 'renoise'", "renoise"),
        ("core/step/losses.py", "x = {'d_real': 1}", "d_real"),
    ],
)
def test_a_name_in_a_string_is_found(file: str, line: str, name: str) -> None:
    last = 1 + line.count("\n")
    assert f"{file}:{last} names {name!r}" in named(Path(file), f"{line}\n")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("dlmone/cli/evaluate.py", '"""Score by bleu, say."""\noption("--metrics", help="as bleu,rouge_l")'),
        ("dlmone/cli/evaluate.py", "def f():\n    'Take `ddim`.'\n    return 'ddims and re-noising'"),
        ("dlmone/report/page.py", "SECTIONS = ('health', 'diversity')"),
        ("core/step/losses.py", "Weighting = Literal['sid']"),
    ],
)
def test_what_is_no_name_is_not_found(file: str, line: str) -> None:
    assert named(Path(file), f"{line}\n") == []
