"""Pretraining steps a second on an idle and on a busy machine, by how OpenMP's threads wait.

    python benchmarks/busy.py [--rounds 5] [--seconds 4] [--busy 0 --busy 1] [--threads N]

One process for each way of waiting pretrains the teacher of recipes/qqp.toml (profile quick). They take
turns, a few seconds each while the others sleep, beside as many busy processes as each ``--busy`` says, which
only count. Whatever else runs on the machine runs beside them: its load is printed. Where others use the
machine, real-time priority makes it idle and a high priority makes the busy processes the only rivals:

    chrt --rr 1 python benchmarks/busy.py --busy 0
    nice -n -20 python benchmarks/busy.py --busy 1
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter

import click

from dlmone.cli.openmp import WAITING

#: Environment variables that make OpenMP's threads wait in each way.
WAYS: dict[str, dict[str, str]] = {
    "OpenMP's default": {},
    "dlmone's": dict(WAITING),
    "sleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def work(seconds: float) -> None:
    """Pretrain for so long for each line of standard input, and answer with the seconds a step."""
    import torch

    from dlmone.registry import Registry, load_recipe
    from dlmone.runtime.device import Compute
    from dlmone.training.pretraining import Pretraining

    registry = Registry.discover()
    threads = [f"compute.threads={count}"] if (count := os.environ.get("THREADS")) else []
    resolved = load_recipe(
        "qqp", registry=registry, profile="quick", overrides=("compute.device=cpu", *threads)
    )
    recipe = resolved.recipe
    compute = Compute.start(recipe.compute)
    examples = registry.create("data", recipe.data, "data").split("train")
    slot = recipe.teacher
    options = registry.options("teachers", slot.use, slot.options, "teacher")
    torch.manual_seed(0)
    teacher = registry.load("teachers", slot.use).build(options, examples)
    assert slot.pretrain
    pretraining = Pretraining(teacher, slot.pretrain, examples, compute, seed=0)
    pretraining.advance(norms=False)
    print(torch.get_num_threads(), flush=True)
    for _ in sys.stdin:
        first, started = pretraining.step, perf_counter()
        while (spent := perf_counter() - started) < seconds:
            pretraining.advance(norms=False)
        print(spent / (pretraining.step - first), flush=True)


class Worker:
    """A process that pretrains when told to."""

    def __init__(self, variables: Mapping[str, str], seconds: float, threads: int | None) -> None:
        ways = {name for way in WAYS.values() for name in way} | {"OMP_NUM_THREADS"}
        own = {name: value for name, value in os.environ.items() if name not in ways}
        own |= {"THREADS": str(threads)} if threads else {}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--seconds", str(seconds), "--work"],
            env={**own, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.threads = int(self._answer())

    def measure(self) -> float:
        """Return the seconds a step of one turn."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def stop(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@contextmanager
def counting(processes: int) -> Iterator[None]:
    """While entered, so many processes keep a core busy each."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def show(name: str, seconds: Sequence[float], baseline: float) -> None:
    rates = sorted(1 / one for one in seconds)
    middle, spread = median(rates), f"{rates[0]:.2f}–{rates[-1]:.2f}"
    print(f"  {name:18} {middle:6.2f} steps/s ({spread}), × {middle / baseline:.2f}", flush=True)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of a turn; a step is finished.")
@click.option("--busy", multiple=True, type=int, default=(0, 1), show_default=True, help="Processes beside.")
@click.option("--threads", type=int, help="Of each worker.  [default: PyTorch's]")
@click.option("--work", "working", is_flag=True, hidden=True)
def main(rounds: int, seconds: float, busy: tuple[int, ...], threads: int | None, working: bool) -> None:
    if working:
        work(seconds)
        return
    workers = {name: Worker(variables, seconds, threads) for name, variables in WAYS.items()}
    used = next(iter(workers.values())).threads
    for beside in busy:
        with counting(beside):
            taken: dict[str, list[float]] = {name: [] for name in workers}
            for _ in range(rounds):
                for name, worker in workers.items():
                    taken[name].append(worker.measure())
        load = os.getloadavg()[0]
        print(f"{os.cpu_count()} cores, {used} threads, beside {beside} busy processes (load {load:.1f})")
        baseline = median(1 / one for one in taken[next(iter(WAYS))])
        for name, each in taken.items():
            show(name, each, baseline)
    for worker in workers.values():
        worker.stop()


if __name__ == "__main__":
    main()
