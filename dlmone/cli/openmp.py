"""How OpenMP's threads wait for one another in the command line's process."""

import os
import sys

#: A thread that waits sleeps after so many looks (some 10 µs), where GNU's OpenMP has 300,000. A thread that spins
#: holds the very core that the thread it waits for needs, as soon as another process has one. docs/speed.md
#: compares both on an idle and on a busy machine.
WAITING = {"GOMP_SPINCOUNT": "1000"}
#: What users set themselves: any of these, and nothing is touched.
USERS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def limit_spinning() -> None:
    """Let waiting threads sleep soon, unless the user's environment says how they wait.

    OpenMP reads its environment once, when torch loads it: later this would have no effect, so nothing is set.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in USERS):
        os.environ.update(WAITING)
