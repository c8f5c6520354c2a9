"""The contracts and the maths of one-step distillation: no files, no configuration, no plugins.

Names are loaded when used (PEP 562), so that light modules (`errors`, `text`) come without torch; the list of
them is in ``__init__.pyi``.
"""

from typing import Any

import lazy_loader

from .earlier import missing

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise missing(__name__, name)
    return _load(name)
