"""dlmone distils diffusion language models into one-step text generators.

The public names are those of `dlmone.core`, and `load`. They are imported when used (PEP 562).
"""

from typing import TYPE_CHECKING, Any

from . import core

if TYPE_CHECKING:
    from .core import *  # noqa: F403
    from .models.load import load

    __version__: str

__all__ = ["__version__", "load"]
__all__ += dir(core)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("dlmone")
    if name == "load":
        from .models.load import load

        return load
    if name in dir(core):
        return getattr(core, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
