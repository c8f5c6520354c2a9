"""Set how OpenMP's threads wait for one another, in the command line's process."""

import os
import sys

#: A waiting thread soon sleeps. By default it spins, for milliseconds with GNU's OpenMP, which PyTorch
#: brings on Linux, and holds a core that the thread it waits for may need. But to sleep at once costs a small
#: network up to half its speed: waking takes as long as an operation. GNU's OpenMP spins so often first;
#: others, which don't read that, sleep at once. docs/speed.md has the measurement.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}
#: What users set themselves: any of these, and nothing is touched.
USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def limit_spinning() -> None:
    """Let waiting threads sleep after a while, unless the user's environment says how they wait.

    OpenMP reads its environment once, when torch loads it; after that nothing is set.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in USERS):
        os.environ.update(WAITING)
