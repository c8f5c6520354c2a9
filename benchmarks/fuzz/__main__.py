"""``python benchmarks/fuzz`` runs this folder; what is imported is the package."""

import sys
from importlib import import_module
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
import_module("fuzz.command").run()
