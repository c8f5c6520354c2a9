"""Define plugins and recipes: hooks, discovery, the recipe's schema, and its validation.

Names are loaded when used (PEP 562): a plugin that imports ``hookimpl`` waits for pluggy alone. The list of
them is in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
