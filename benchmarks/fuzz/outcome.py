"""How a case ended, and what is wrong with that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from click.testing import CliRunner

from dlmone.cli import main

from .case import Case

#: The longest sentence.
LONGEST = 3000


@dataclass(frozen=True)
class Outcome:
    """How a case ended: its exit code (None for none), what it said, the findings."""

    code: int | None
    said: str
    findings: tuple[str, ...] = ()


def outcome_of(case: Case, root: Path) -> Outcome:
    """Run a case's commands in ``root``, and compare its files before and after."""
    before = _files(root)
    results = []
    for words in case.commands:
        result = CliRunner().invoke(main, list(words), input=case.input)
        raised = result.exception
        expected = raised is None or isinstance(raised, SystemExit)
        trace = "" if expected else f"{type(raised).__name__}: {raised}"
        results.append((result.exit_code, result.stderr, trace))
        if result.exit_code:
            break
    exit_code, said, trace = results[-1]
    findings = list(found_in(case, results))
    after = _files(root)
    kept = [path for path in before if not path.startswith(case.own)]
    changed = [path for path in kept if after.get(path) != before[path]]
    findings += [f"{path} was {'changed' if path in after else 'lost'}" for path in changed]
    findings += [f"{path} is left" for path in after.keys() - before.keys() if "-staging-" in path]
    torch.set_num_threads(1)
    return Outcome(exit_code, trace or said, tuple(findings))


def found_in(case: Case, results: Sequence[tuple[int, str, str]]) -> Iterator[str]:
    """Yield what is wrong with the exit code, standard error and exception of each command."""
    code, said, trace = results[-1]
    if trace:
        yield f"raised {trace[:200]}"
    for sign in ("Traceback", "internal error", "pydantic", "--traceback"):
        if sign in said:
            yield f"said {sign!r}: {said[:400]!r}"
    if code not in (0, 1, 2, 3, 130):
        yield f"ended with code {code}"
    sentence = said[said.rfind("error: ") :] if "error: " in said else ""
    if code and not sentence:
        yield f"ended with code {code} and no sentence: {said[-200:]!r}"
    if len(sentence) > LONGEST:
        yield f"a sentence of {len(sentence)} characters"
    if not code and case.wrong:
        yield "ended with code 0 on an input that is wrong"
    if len(results) > 1 and code in (2, 3):
        yield f"passed the check and not the run: {sentence[:300]!r}"


def _files(root: Path) -> dict[str, str]:
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and not name.startswith("cache/"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
