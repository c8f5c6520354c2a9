"""Importing dlmone and loading a model change nothing in the caller's process.

Allocator options, threads and the process group belong to the command line and to a run.
"""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import ctypes, os, random, signal, sys, warnings
import numpy, torch

def state():
    return {
        "signal handlers": [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)],
        "torch's random state": torch.get_rng_state().tolist(),
        "Python's random state": random.getstate(),
        "numpy's random state": numpy.random.get_state()[1].tolist(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "precision": (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32),
        "default dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
    }

def refuse(what):
    def call(*args, **named):
        raise AssertionError(f"{what} was called")
    return call

library = ctypes.CDLL
ctypes.CDLL = lambda name=None, *args, **named: refuse("the C library")() if name is None else library(
    name, *args, **named
)
torch.set_num_threads = refuse("torch.set_num_threads")
torch.distributed.init_process_group = refuse("torch.distributed.init_process_group")
before = state()
import dlmone
model = dlmone.load(sys.argv[1], device="cpu")
assert not torch.distributed.is_initialized()
assert [name for name, value in state().items() if value != before[name]] == []
print(model.generate(["how is it ?"]))
assert [name for name, value in state().items() if value != before[name]] == []
"""


def test_loading_under_torchrun_changes_nothing_in_the_process(tiny_run: Path) -> None:
    torchrun = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}
    for name in ("student", "teacher"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tiny_run / name)],
            env=os.environ | torchrun | {"MASTER_PORT": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("[[")
