"""Skip what needs a CUDA build of torch; within `cuda` tensors of that device are fake.

A device is not needed:

    pip install torch     # from PyPI, on Linux: the CUDA build
    pytest tests/gpu
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from .fake_cuda import FakeCuda

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.version.cuda is None:
        skipped = pytest.mark.skip("needs a CUDA build of torch (a device is not needed)")
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(skipped)


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    # A fake tensor has no data that a kernel could read. Kernels are checked by themselves.
    def best_row(x_ND: Tensor, *table: Any) -> Tensor:
        return x_ND.new_zeros(len(x_ND), dtype=torch.int64)

    with FakeCuda() as mode, patch("dlmone.plugins.diffuseq.kernels.best_row", best_row):
        yield mode
