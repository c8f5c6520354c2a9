"""Requests a second and latencies of `dlmone serve` on loopback, with and without shared batches.

    python benchmarks/serving.py qqp-compact --clients 1,8,32 --requests 64 --rounds 3 --threads 1

Two servers of one model, `--batch 64` and `--batch 1`, take turns. In a turn so many clients, each with a
connection of its own, send a fixed number of requests in all, each for one text of a prompt and a seed of its
own, and every answer is checked to be a text. Clients share the machine with the server. CPU seconds are the
server's, of all threads (Linux); other processes disturb them less than the wall clock.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

import click

from dlmone.cli.counts import CountList

QUESTIONS = Path(__file__).parents[1] / "docs" / "sample_questions.txt"
PROMPTS = QUESTIONS.read_text(encoding="utf-8").splitlines()
#: Seconds that a client waits for one answer.
PATIENCE = 120


@dataclass
class Turns:
    """Of one server with so many clients: seconds of each request, and of each turn."""

    latencies: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)


class Server:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.host, _, port = address.removeprefix("http://").partition(":")
        self.port = int(port)

    def cpu(self) -> float:
        """Return the CPU seconds that the process has spent."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(model: str, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "dlmone", "serve", model, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Server(process, process.stdout.readline().strip())
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            process.kill()


def turn(server: Server, clients: int, requests: int, found: Turns) -> None:
    """Send the requests, and add what they took."""
    numbers, failed = count(), list[BaseException]()

    def client() -> None:
        connection = HTTPConnection(server.host, server.port, timeout=PATIENCE)
        try:
            while (number := next(numbers)) < requests and not failed:
                asked = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number}
                started = perf_counter()
                connection.request("POST", "/v1/completions", json.dumps(asked))
                answer = json.loads(connection.getresponse().read())
                found.latencies.append(perf_counter() - started)
                assert isinstance(answer["choices"][0]["text"], str), answer
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    wall, cpu = perf_counter(), server.cpu()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.walls.append(perf_counter() - wall)
    found.cpus.append(server.cpu() - cpu)
    if failed:
        raise failed[0]


@click.command(help=__doc__.partition("\n")[0])
@click.argument("model")
@click.option("--clients", type=CountList(click.IntRange(1, 400)), default="1,8,32", show_default=True)
@click.option("--requests", type=click.IntRange(1, 100_000), default=96, show_default=True, help="Of a turn.")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True, help="CPU threads of a server.")
def main(model: str, clients: tuple[int, ...], requests: int, rounds: int, threads: int) -> None:
    measured = {(size, number): Turns() for size in (64, 1) for number in clients}
    options = ("--threads", str(threads), "--device", "cpu", "--batch")
    with serving(model, *options, "64") as shared, serving(model, *options, "1") as single:
        servers = {64: shared, 1: single}
        for server in servers.values():
            turn(server, 1, 3, Turns())
        for _ in range(rounds):
            for (size, number), found in measured.items():
                turn(servers[size], number, requests, found)
    click.echo(f"{model}, {rounds} turns of {requests} requests, load {os.getloadavg()[0]:.1f}\n")
    click.echo("| batch | clients | requests/s (least–greatest) | median ms | 95 % ms | CPU ms a request |")
    click.echo("|---|---|---|---|---|---|")
    for (size, number), found in measured.items():
        rates = sorted(requests / wall for wall in found.walls)
        times = sorted(1000 * one for one in found.latencies)
        cells = [f"{median(rates):.1f} ({rates[0]:.1f}–{rates[-1]:.1f})", f"{median(times):.0f}"]
        cells += [f"{times[int(0.95 * len(times))]:.0f}", f"{1000 * median(found.cpus) / requests:.1f}"]
        click.echo(f"| {size} | {number} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
