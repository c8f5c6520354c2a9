"""What a test of a check is given."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Finds = Callable[[str], AbstractContextManager[object]]
