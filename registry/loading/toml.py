"""Parse TOML within the bounds of a recipe: tables no deeper, and numbers no longer, than anyone writes."""

import re
import tomllib
from collections.abc import Iterable
from typing import Any

#: The deepest table; a recipe's own has 7 levels.
DEEPEST = 50
#: Dots in a line, outside of strings, that tomllib is given: its time grows with their square.
_DOTS = 1000
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table of a TOML text.

    Raises:
        ValueError: it is not TOML, is nested too deeply, or has a number that is too long.
    """
    if any(line.count(".") > _DOTS for line in _STRING.sub("", text).split("\n")):
        raise ValueError(_TOO_DEEP)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError:  # Python reads no whole numbers of thousands of digits
        raise ValueError("it has a number of too many digits") from None
    level: Iterable[Any] = [table]
    for _ in range(DEEPEST):
        level = [below for value in level for below in _below(value)]
    if level:
        raise ValueError(_TOO_DEEP)
    return table


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
