"""dlmone/runtime/memory.py: the peak of what is allocated, beside sizes that are known."""

import torch

from dlmone.runtime.memory import peak_allocated


def test_the_peak_counts_what_lives_at_one_time():
    kept = []

    def run():
        first = torch.ones(1000, 1000)
        del first
        second = torch.ones(500, 1000)
        kept.append(second + second)

    before = torch.ones(3000, 1000)
    assert peak_allocated(run, torch.device("cpu")) == 4 * 1000 * 1000
    assert peak_allocated(lambda: before.sum(), torch.device("cpu")) < 1000
    assert peak_allocated(lambda: None, torch.device("cpu")) == 0
