"""``dlmone serve``: a model behind OpenAI's completions endpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

import click

from dlmone.core.errors import InputError

from ..completion import complete_model
from ..counts import BATCH, PORT, SAMPLES, THREADS
from ..inference import device_option, precision_option, steps_option
from ..request import plugin_option
from ..verbosity import say


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for other machines too.")
@click.option("--port", type=PORT, default=8000, show_default=True, help="0 is any free one.")
@steps_option
@click.option("--batch", type=BATCH, default=64, show_default=True, help="Texts generated at once.")
@click.option("--queue", type=SAMPLES, default=1024, show_default=True, help="Texts that may wait.")
@click.option("--texts", type=SAMPLES, default=64, show_default=True, help="Prompts times n in a request.")
@click.option("--threads", type=THREADS, help="CPU threads.")
@device_option
@precision_option
@plugin_option
def serve(
    model: str,
    host: str,
    port: int,
    steps: int | None,
    batch: int,
    queue: int,
    texts: int,
    threads: int | None,
    device: str,
    precision: Literal["float32", "bfloat16", "auto"],
    plugins: tuple[Path, ...],
) -> None:
    """Serve MODEL over HTTP: POST /v1/completions as OpenAI's, GET /v1/models, GET /health.

    MODEL is a model folder, a run directory (its student), or the name of an installed model. Texts of
    requests that wait are generated together. Ctrl-C finishes the requests that were begun, a second one
    stops at once. There is no authentication (docs/serve.md).
    """
    from dlmone.models.load import load
    from dlmone.registry import Registry
    from dlmone.registry.schema import Compute as ComputeTable
    from dlmone.runtime.device import Compute
    from dlmone.serving.batching import Batcher

    try:
        from dlmone.serving.server import application, listen
        from dlmone.serving.server import serve as serve_until_stopped
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise InputError('serving needs an extra: pip install "dlmone[serve]"') from None
    registry = Registry.discover(plugins)
    registry.require_files()
    listening = listen(host, port)
    Compute.start(ComputeTable(device=device, threads=threads))
    loaded = load(model, device=device, precision=precision, registry=registry)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    batcher = Batcher(loaded, steps or loaded.steps, batch, queue)
    app = application(batcher, model, texts, ready=lambda: tell(address))
    serve_until_stopped(app, listening)
    say("stopped")


def tell(address: str) -> None:
    """Print the address. A reader that has gone is no reason not to serve."""
    try:
        click.echo(address)
    except OSError:
        # What is left in the stream would fail again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
