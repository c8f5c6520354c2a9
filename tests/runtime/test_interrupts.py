"""Signals while a run trains: the first is remembered; only a second SIGINT acts at once."""

import signal

import pytest

from dlmone.runtime.interrupts import InterruptGuard


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_repeated_sigterm_waits_for_the_checkpoint_and_a_second_ctrl_c_does_not(
    first: signal.Signals,
) -> None:
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with InterruptGuard() as guard:
        assert not guard.wanted
        for number in (first, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
            assert guard.wanted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in former} == former
