"""Try inputs that are wrong, and report what is not answered well.

    python benchmarks/fuzz.py [--seed 0] [--count 1000] [--only KIND] [--case KIND:N]

Recipes and ``--set``, rows, model folders, run directories and command lines are mutated, ``count`` in all.
Inputs are given to commands in processes of their own, with limits of time and memory. A finding is a
traceback or an internal error, a crash, a hang, exit 0 on what is surely an error, a failure without a
sentence, or a file that was there before and is changed. Prints a table by kind; exits with 1 if there is a
finding.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import click
import tomli_w
import torch
from click.testing import CliRunner
from mutations import ODD, copy_of, mutated, places, spoil_file

from dlmone.cli import COMMANDS, main
from dlmone.core.errors import PluginError
from dlmone.registry import Registry
from dlmone.registry.catalogue import KINDS as KINDS_OF_PLUGINS

#: Seconds of CPU time that a case may take, seconds of any kind, and bytes of address space.
SECONDS, PATIENCE, MEMORY = 40, 400, 12 * 2**30
#: Cases in one process, which costs as much to start as some of them.
TOGETHER = 20
#: The longest sentence.
LONGEST = 3000
#: What stands in every scratch folder, and is nobody's output.
BYSTANDERS = {"settings.toml": "threads = 4", "notes.txt": "one\ntwo\n", "torn.jsonl": '{"id": "7", "so'}

RECIPE = {
    "name": "fuzz",
    "seed": 1,
    "data": {"use": "files", "path": "data", "source": "src", "target": "trg"},
    "teacher": {
        "use": "diffuseq",
        "seq_len": 16,
        "hidden_dim": 8,
        "hidden_t_dim": 8,
        "width": 16,
        "layers": 1,
        "heads": 2,
        "diffusion_steps": 100,
        "tokenizer": "words",
        "pretrain": {
            "steps": 2,
            "batch": 4,
            "ema": 0.9,
            "optimizer": {"lr": 1e-3},
            "validation": {"every": 2, "examples": 2},
            "validation_steps": 1,
            "log_every": 1,
            "checkpoint_every": 1,
        },
    },
    "stages": {
        "one": {
            "steps": 2,
            "batch": 4,
            "t_init": {"ratio": 2.5},
            "t_min": 1,
            "t_max": {"quantile": 0.9},
            "generator": {"lr": 1e-5, "warmup": 1, "schedule": "linear"},
            "estimator": {"lr": 1e-5, "clip_norm": 1.0},
            "estimator_times": {"mean": -1.2, "std": 1.2},
            "estimator_average": 0.9,
            "ema": {"half_life": 100, "ramp": 0.05},
            "objectives": {
                "score": {"use": "sid", "mu": 1.2, "generator_weight": 1.0},
                "adversarial": {"use": "diffusion_gan", "layer": -1, "generator_start": 1},
            },
            "validation": {"every": 1, "examples": 2, "metric": "bleu", "metrics": ["bleu"]},
            "log_every": 1,
            "checkpoint_every": 1,
        }
    },
    "evaluation": {
        "examples": 2,
        "candidates": 2,
        "teacher_steps": [1, 2],
        "student_steps": [1],
        "teacher_sampler": {"use": "ddim", "eta": 0.5},
        "metrics": {"bleu": {"use": "bleu"}, "distinct": {"use": "distinct", "orders": [1]}},
        "select": {"mbr": {"use": "mbr", "k": [2]}},
        "variants": {"padded": {"augment": {"use": "pad", "probability": 0.5}, "steps": 1}},
    },
    "compute": {"device": "cpu", "threads": 1},
}
WORDS = ("how", "do", "i", "learn", "what", "is", "it", "why", "?")


@dataclass(frozen=True)
class Case:
    """A command on an input that is wrong.

    Attributes:
        what: what is wrong with it.
        commands: run one after another in the scratch folder, as long as they succeed. What is wrong with the
            input should be said by the first.
        wrong: whether the input is surely an error, so that no command may succeed.
        own: beginnings of paths that the commands may change.
        input: what is on standard input.
    """

    what: str
    commands: Sequence[Sequence[str]]
    wrong: bool = False
    own: tuple[str, ...] = ()
    input: bytes = b""


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    codes: Counter[int] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)


def prepare(base: Path) -> None:
    """Make what the inputs are mutations of: data, a recipe, and a finished run with its models."""
    random = Random(0)
    (base / "data").mkdir(parents=True)
    for split in ("train", "valid", "test"):
        rows = [
            {"src": " ".join(random.choices(WORDS, k=4)), "trg": " ".join(random.choices(WORDS, k=3))}
            for _ in range(6)
        ]
        (base / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = [{"id": str(i), "source": " ".join(WORDS[i : i + 3]), "reference": "it"} for i in range(4)]
    (base / "inputs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in inputs))
    (base / "recipe.toml").write_text(tomli_w.dumps(RECIPE))
    for name, text in BYSTANDERS.items():
        (base / name).write_text(text)
    os.environ["DLMONE_CACHE"] = str(base / "cache")
    _import_all()
    case = Case("", [["run", "recipe.toml", "--run-dir", "run", "--no-report"]])
    [(_, done)] = tried([lambda: case], base)
    if done.code != 0:
        raise RuntimeError(f"the unchanged recipe fails: {done.said}")


#: What libraries import when they are first used.
LAZY = ("torch._dynamo", "matplotlib.pyplot", "jinja2.filters")


def _import_all() -> None:
    """Import what commands import, so that no case has to; nothing is computed, as forks inherit threads."""
    for name in ("training.run", "report.page", "benchmark.timing", "models.load", "models.export"):
        import_module(f"dlmone.{name}")
    for name in (*(f"dlmone.cli.commands.{command}" for command in COMMANDS), *LAZY):
        import_module(name)
    registry = Registry.discover()
    for kind in KINDS_OF_PLUGINS:
        for name in registry.names(kind):
            with suppress(PluginError):
                registry.load(kind, name)


# The kinds of input. Each puts one into the scratch folder and returns its case.


def recipe(random: Random, root: Path) -> Case:
    """A recipe file, or ``--set``."""
    if random.random() < 0.3:
        what = spoil_file(random, root / "recipe.toml")
        try:
            tomllib.loads((root / "recipe.toml").read_text(encoding="utf-8-sig"))
            wrong = False
        except (OSError, ValueError, RecursionError):
            wrong = True
        return Case(what, [["check", "recipe.toml"]], wrong)
    if random.random() < 0.4:
        loc = random.choice([loc for loc in places(RECIPE) if all(isinstance(key, str) for key in loc)])
        key = ".".join(loc)
        value = random.choice(ODD)
        text = random.choice((json.dumps(value), str(value)))
        if random.random() < 0.2:
            key = random.choice((f"{key}x", key.replace(".", ".."), "*." + key, "", key + ".*", "'" + key))
        checked = ["check", "recipe.toml", "--set", f"{key}={text}"]
        return Case(f"--set {key}={text}"[:80], [checked, *_sometimes(random, ["run", *checked[1:], *FEW])])
    table, what = mutated(random, RECIPE)
    try:
        (root / "recipe.toml").write_text(tomli_w.dumps(table))
    except (TypeError, UnicodeError):  # TOML has no null
        (root / "recipe.toml").write_text(repr(table))
        return Case(what, [["check", "recipe.toml"]], wrong=True)
    commands = [["check", "recipe.toml"], *_sometimes(random, ["run", "recipe.toml", *FEW])]
    # Another name is wrong but where names are free.
    return Case(what, commands, what.endswith("rename") and not re.match(FREE + ": rename", what))


#: Keys that are names.
FREE = r"(stages\.one(\.objectives\.\w+)?|evaluation\.(metrics|select|variants)\.\w+)"


def _sometimes(random: Random, command: list[str]) -> list[list[str]]:
    """Return a command that takes long in one of some cases."""
    return [command] if random.random() < 0.15 else []


#: Lets a run that passed its check end soon.
FEW = ("--set", "stages.*.steps=2", "--set", "teacher.pretrain.steps=1", "--run-dir", "other", "--no-report")


def _bad_rows(path: Path, keys: Sequence[str]) -> bool:
    """Whether a file of JSON lines has a row that lacks a text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
        rows = [json.loads(line) for line in lines]
        return any(not isinstance(row.get(key), str) for row in rows for key in keys)
    except (OSError, ValueError, RecursionError, AttributeError):
        return True


def rows(random: Random, root: Path) -> Case:
    """Rows of data, of inputs and of samples, as JSON lines, CSV, TSV, plain text and standard input."""
    which = random.choice(("data", "data", "table", "inputs", "inputs", "samples", "stdin"))
    if which == "data":
        path = root / "data" / f"{random.choice(('train', 'valid', 'test'))}.jsonl"
        what = spoil_file(random, path)
        return Case(what, [["check", "recipe.toml"]], _bad_rows(path, ("src", "trg")))
    if which == "table":
        suffix = random.choice((".csv", ".tsv", ".txt", ".csv.gz", ".parquet"))
        separator = "\t" if suffix == ".tsv" else ","
        for path in (root / "data").iterdir():
            table = [("src", "trg"), *((row["src"], row["trg"]) for row in map(json.loads, path.open()))]
            path.with_suffix(suffix).write_text("".join(separator.join(row) + "\n" for row in table))
            path.unlink()
        what = spoil_file(random, random.choice(list((root / "data").iterdir())))
        return Case(what, [["check", "recipe.toml"]], wrong=suffix in (".csv.gz", ".parquet"))
    if which == "inputs":
        what = spoil_file(random, root / "inputs.jsonl")
        bad = _bad_rows(root / "inputs.jsonl", ()) and which == "inputs"
        command = ["generate", "run/student", "-i", "inputs.jsonl", "-o", "out.jsonl", "--device", "cpu"]
        return Case(what, [command], wrong=bad)
    if which == "samples":
        path = random.choice(sorted((root / "run" / "samples").iterdir()))
        what = spoil_file(random, path)
        bad = _bad_rows(path, ("id", "source", "reference")) and not path.is_dir()
        return Case(what, [["evaluate", str(path.relative_to(root)), "--bootstrap", "10"]], wrong=bad)
    text = random.randbytes(random.randint(0, 200)) + random.choice((b"", b"\n", b"\nhow do i\n"))
    return Case(f"stdin {text[:20]!r}", [["generate", "run/student", "--device", "cpu"]], input=text)


def model(random: Random, root: Path) -> Case:
    """A model folder: a teacher's or a student's."""
    folder = root / "run" / random.choice(("student", "teacher"))
    path = random.choice([one for one in sorted(folder.iterdir()) if one.is_file()])
    before = _meaning(path)
    if path.suffix == ".json" and random.random() < 0.6:
        table, what = mutated(random, json.loads(path.read_text()))
        path.write_text(json.dumps(table))
    elif random.random() < 0.2:
        other = random.choice([one for one in sorted(folder.iterdir()) if one.is_file()])
        what = f"{path.name}: that of {other.name}"
        path.write_bytes(other.read_bytes())
    else:
        what = spoil_file(random, path)
    name = str(folder.relative_to(root))
    command = random.choice(
        (
            ["generate", name, "how do i learn", "--device", "cpu", "--steps", "2"],
            ["generate", name, "-i", "inputs.jsonl", "-o", "out.jsonl", "--device", "cpu", "--steps", "2"],
            ["export", name, "copy"],
            ["bench", name, "--runs", "1", "--steps", "1", "--device", "cpu"],
        )
    )
    wrong = path.suffix == ".json" and _meaning(path) != before
    return Case(f"{folder.name}/{what}", [command], wrong)


def _meaning(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes()) if path.suffix == ".json" else None
    except (OSError, ValueError, RecursionError):
        return path


def run_directory(random: Random, root: Path) -> Case:
    """A run directory that was touched."""
    run = root / "run"
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"]
    names = [path for path in files if path.parent == run or path.suffix in (".jsonl", ".json")]
    path = random.choice(files if random.random() < 0.3 else names)
    if random.random() < 0.15:
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        (path.parent / "step-x").mkdir()
        what = f"{path.parent.relative_to(root)} emptied"
    else:
        what = f"{path.parent.relative_to(root)}/{spoil_file(random, path)}"
    resume = ["run", "recipe.toml", "--resume", "run", "--no-report"]
    command = random.choice(
        (
            ["report", "run", "-o", "page.html"],
            *(["generate", "run", "how do i", "--device", "cpu"],) * 6,
            *(["evaluate", "run/samples/student-one-1.jsonl", "--bootstrap", "5"],) * 6,
            *(["evaluate", "run/samples", "--bootstrap", "5"],) * 4,
            *(resume,) * 2,
        )
    )
    return Case(what, [command], own=("run/",) if command is resume else ())


VALUES = (
    *("1", "2", "0", "-1", "nan", "inf", "1e9", "10**9", "1" * 25, "9" * 5000),
    *("x", "", " ", "\0", "*", "a=b"),
)
PATHS = (
    *("run", "run/student", "run/teacher", "run/samples", "run/samples/student-one-1.jsonl", "recipe.toml"),
    *("inputs.jsonl", "settings.toml", "notes.txt", "torn.jsonl", "data", "nowhere", "new/x", ".", "/", ""),
    *("a\0b", "~nouser/x", "x" * 300, "/dev/null", "-", "qqp", "quik", "distinct", "sid", "diffuseq"),
)
SETTINGS = (
    *("ddim.eta=0.5", "ddim.eta=2", "mbr.utility=bleu", "seed=1", "stages.*.steps=1"),
    *(".eta=1", "eta", "=", ""),
)
#: What arguments take, by their names.
FIT = {
    "model": ("run", "run/student", "run/teacher"),
    "models": ("run", "run/teacher", "recipe.toml"),
    "recipe": ("recipe.toml",),
    "samples": ("run/samples/student-one-1.jsonl", "run/samples/teacher-2.jsonl"),
    "runs": ("run",),
    "texts": ("how do i learn", "?", "", "日本"),
    "out": ("copy",),
}


def _values(option: click.Parameter) -> Sequence[str]:
    """Return values that an option may take, or nearly."""
    if isinstance(option.type, click.Choice):
        return tuple(option.type.choices)
    if isinstance(option.type, click.IntRange):
        return ("1", "2", "3")
    if "=" in str(option.metavar):
        return SETTINGS
    return PATHS if option.metavar in ("FILE", "DIR", "PATH") else VALUES


def command_line(random: Random, root: Path) -> Case:
    """A command with some of its options, each with a value that it may or may not take."""
    context = click.Context(main)
    names = [name for name in COMMANDS if name not in ("run", "pretrain", "ablate")]
    name = random.choice([*names, *("generate", "evaluate", "bench", "export", "check"), "run"])
    words, command = [name], main.get_command(context, name)
    if isinstance(command, click.Group) and random.random() < 0.9:
        words.append(random.choice(list(command.commands)))
        command = command.commands[words[-1]]
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Argument):
            count = random.choice((1, 1, 1, 2)) if option.nargs == -1 else int(random.random() < 0.9)
            pool = FIT.get(option.name or "", PATHS) if random.random() < 0.8 else PATHS
            words += random.choices(pool, k=count)
        elif random.random() < 0.15:
            words.append(random.choice(option.opts))
            if not (isinstance(option, click.Option) and option.is_flag):
                words.append(random.choice(_values(option) if random.random() < 0.7 else (*VALUES, *PATHS)))
    if random.random() < 0.1:
        words.insert(random.randint(0, len(words)), random.choice((*VALUES, "--frob", "-q", "--", "-o")))
    if name == "run":
        words.append("--dry-run")
    if name == "bench":
        words += ["--runs", "1", "--steps", "1"]
    return Case(" ".join(words), [words], input=b"how do i\n")


KINDS: dict[str, Callable[[Random, Path], Case]] = {
    "recipe": recipe,
    "rows": rows,
    "model": model,
    "run directory": run_directory,
    "command line": command_line,
}


@dataclass(frozen=True)
class Outcome:
    """How a case ended: its exit code (None for none), what it said, the findings."""

    code: int | None
    said: str
    findings: tuple[str, ...] = ()


def tried(cases: Sequence[Callable[[], Case]], root: Path) -> list[tuple[str, Outcome]]:
    """Run cases one after another in a process of their own, until all are run or one ends the process.

    Args:
        cases: each puts its input into ``root``.
        root: the scratch folder.

    Returns:
        What is wrong in each case that was run, and its outcome.
    """
    answer = root.with_name(f"{root.name}.answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _behave(cases, root, answer)
    code = _waited(child, PATIENCE * len(cases))
    found: list[tuple[str, Outcome]] = []
    with answer.open("rb") as file, suppress(EOFError, pickle.UnpicklingError):
        while True:
            found.append(pickle.load(file))
    if len(found) < len(cases):
        endless = code is None or (os.WIFSIGNALED(code) and os.WTERMSIG(code) == signal.SIGXCPU)
        end = "no end" if endless else f"the process crashed ({code})"
        found.append((cases[len(found)]().what, Outcome(None, "", (end,))))
    return found


def _behave(cases: Sequence[Callable[[], Case]], root: Path, answer: Path) -> None:
    """Run cases and write the outcome of each as it ends; never returns."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = SECONDS * len(cases) + 5
        with answer.open("wb") as file:
            for put in cases:
                spent = int(time.process_time())
                resource.setrlimit(resource.RLIMIT_CPU, (min(spent + SECONDS, hard - 1), hard))
                case = put()
                os.chdir(root)
                pickle.dump((case.what, _outcome(case, root)), file)
                file.flush()
    except BaseException:
        os._exit(9)
    os._exit(0)


def _outcome(case: Case, root: Path) -> Outcome:
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
    findings = list(_judged(case, results))
    after = _files(root)
    kept = [path for path in before if not path.startswith(case.own)]
    changed = [path for path in kept if after.get(path) != before[path]]
    findings += [f"{path} was {'changed' if path in after else 'lost'}" for path in changed]
    findings += [f"{path} is left" for path in after.keys() - before.keys() if "-staging-" in path]
    torch.set_num_threads(1)
    return Outcome(exit_code, trace or said, tuple(findings))


def _waited(child: int, seconds: float) -> int | None:
    """Return how a process ended; None if it did not, and was killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _judged(case: Case, results: Sequence[tuple[int, str, str]]) -> Iterator[str]:
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


def case_of(kind: str, number: int, seed: int, base: Path, scratch: Path) -> Case:
    """Put an input into a fresh scratch folder and return its case."""
    if scratch.exists():
        shutil.rmtree(scratch)
    copy_of(base, scratch)
    os.environ["DLMONE_CACHE"] = str(scratch / "cache")
    return KINDS[kind](Random(f"{seed} {kind} {number}"), scratch)


def fuzz(
    seed: int, count: int, kinds: Sequence[str] = tuple(KINDS), numbers: Sequence[int] | None = None
) -> dict[str, Tally]:
    """Try ``count`` inputs, in turn of each kind; print findings as they come; return what became of them."""
    torch.set_num_threads(1)
    tallies = {kind: Tally() for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        base, scratch = Path(folder) / "base", Path(folder) / "scratch"
        prepare(base)
        inputs = [(kind, number) for number in range(count) for kind in kinds][:count]
        if numbers is not None:
            inputs = [(kind, number) for kind in kinds for number in numbers]
        place = 0
        while place < len(inputs):
            batch = inputs[place : place + TOGETHER]
            cases = [partial(case_of, *one, seed, base, scratch) for one in batch]
            for (kind, number), (what, outcome) in zip(batch, tried(cases, scratch), strict=False):
                place += 1
                tallies[kind].codes[-1 if outcome.code is None else outcome.code] += 1
                for finding in outcome.findings:
                    tallies[kind].findings[finding] += 1
                    click.echo(f"{kind}:{number}  {what[:120]}\n    {finding}", err=True)
                if numbers is not None:
                    click.echo(f"{what}\n{outcome}")
                if place % 100 == 0:
                    show(tallies)
    return tallies


def show(tallies: Mapping[str, Tally]) -> None:
    """Print the table."""
    heads = ("inputs", *(f"exit {code}" for code in (0, 1, 2, 3)))
    click.echo(f"{'kind':<16}{''.join(f'{head:>8}' for head in heads)}{'findings':>10}")
    for kind, tally in tallies.items():
        codes = "".join(f"{tally.codes[code]:>8}" for code in (0, 1, 2, 3))
        click.echo(f"{kind:<16}{tally.codes.total():>8}{codes}{tally.findings.total():>10}")


@click.command()
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--count", type=int, default=1000, show_default=True)
@click.option("--only", type=click.Choice(list(KINDS)), multiple=True, help="These kinds alone.")
@click.option("--case", "one", metavar="KIND:N", help="One case again, with all that it says.")
def run(seed: int, count: int, only: tuple[str, ...], one: str | None) -> None:
    """Try wrong inputs and print a table by kind."""
    started = time.monotonic()
    if one:
        kind, _, number = one.partition(":")
        tallies = fuzz(seed, 1, [kind], [int(number)])
    else:
        tallies = fuzz(seed, count, only or tuple(KINDS))
    show(tallies)
    click.echo(f"seed {seed}, {time.monotonic() - started:.0f} seconds")
    sys.exit(int(any(tally.findings for tally in tallies.values())))


if __name__ == "__main__":
    run()
