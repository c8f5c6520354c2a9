"""Within `cuda` tensors of that device are fake: neither a GPU nor a CUDA build of torch is needed."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from .fake_cuda import FakeCuda


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    # A fake tensor has no data that a kernel could read. Kernels are checked by themselves.
    def best_row(x_ND: Tensor, *table: Any) -> Tensor:
        return x_ND.new_zeros(len(x_ND), dtype=torch.int64)

    with FakeCuda() as mode, patch("dlmone.plugins.diffuseq.kernels.best_row", best_row):
        yield mode
