"""``dlmone env``: describe this machine, for bug reports and for selecting a profile."""

import click

from ..output import print_columns, print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Print versions, device and folders."""
    import os
    import platform
    from importlib.metadata import version

    import torch

    from dlmone.registry.schema import Compute as ComputeTable
    from dlmone.runtime.device import Compute
    from dlmone.training.saving.run_directory import LIBRARIES
    from dlmone.training.teacher import cache_folder

    compute = Compute.start(ComputeTable())
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in LIBRARIES},
        "cuda": torch.version.cuda or "none",
        "device": compute.describe(),
        "cores": os.cpu_count(),
        "bfloat16": "faster than float32 here" if compute.bfloat16 else "no faster than float32 here",
        "cache": str(cache_folder()),
    }
    if as_json:
        print_json(facts)
    else:
        print_columns([(name, str(value)) for name, value in facts.items()])
