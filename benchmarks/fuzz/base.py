"""What inputs are mutations of: a recipe, data, and a finished run with its models."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

from dlmone.cli import COMMANDS
from dlmone.core.errors import PluginError
from dlmone.registry import Registry
from dlmone.registry.catalogue import KINDS as KINDS_OF_PLUGINS

from .case import Case
from .processes import tried

#: What stands in every scratch folder, and is nobody's output.
BYSTANDERS = {"settings.toml": "threads = 4", "notes.txt": "one\ntwo\n", "torn.jsonl": '{"id": "7", "so'}

RECIPE: dict[str, Any] = {
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
            "calls": 2,
            "spacing": "log_snr",
            "start": "teacher",
            "student": {"layers": 1},
            "weights": "raw",
            "shared_noise": True,
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
        "truncation": "source",
        "metric_order": ["bleu"],
        "metrics": {"bleu": {"use": "bleu"}, "distinct": {"use": "distinct", "orders": [1]}},
        "select": {"mbr": {"use": "mbr", "k": [2]}},
        "variants": {"padded": {"augment": {"use": "pad", "probability": 0.5}, "steps": 1}},
    },
    "compute": {"device": "cpu", "threads": 1},
}
WORDS = ("how", "do", "i", "learn", "what", "is", "it", "why", "?")


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
