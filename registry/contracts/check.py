"""Check the classes and functions that plugins register, before they are used."""

import inspect
from collections.abc import Iterator
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

#: The contract of each kind whose plugins are classes; the plugins of other kinds are functions.
CONTRACTS = {
    "teachers": "dlmone.core.Teacher",
    "objectives": "dlmone.core.Objective",
    "evaluators": "dlmone.core.Evaluator",
    "data": "dlmone.core.DataSource",
    "samplers": "dlmone.core.Sampler",
    "generators": "dlmone.core.Generator",
    "augmenters": "dlmone.core.Augmenter",
    "selectors": "dlmone.core.Selector",
    "tokenizers": "dlmone.core.TokenizerBuilder",
    "sample_readers": "dlmone.registry.SampleReader",
    "trackers": "dlmone.registry.Tracker",
    "exporters": "dlmone.registry.Exporter",
}


def mistake(kind: str, target: Any) -> str:
    """Say in what a registered class or function breaks the contract of its kind; "" if in nothing."""
    if kind not in CONTRACTS:
        return "" if callable(target) else "is no function"
    named = CONTRACTS[kind]
    contract: type = resolve_name(named)
    if not (isinstance(target, type) and issubclass(target, contract)):
        return f"is no subclass of {named}"
    if lacking := sorted(getattr(target, "__abstractmethods__", ())):
        return f"lacks the method {lacking[0]}(), which {named} requires"
    return next(_wrong_methods(target, contract, named), "")


def _wrong_methods(target: type, contract: type, named: str) -> Iterator[str]:
    """Yield what is wrong with a class's methods: each must take what the contract's takes."""
    for name, member in vars(contract).items():
        declared = inspect.unwrap(getattr(member, "__func__", member))
        if name.startswith("_") or not isinstance(declared, FunctionType):
            continue
        own = inspect.getattr_static(target, name)
        own = getattr(own, "__func__", own)
        if own is getattr(member, "__func__", member):
            continue
        if not callable(own):
            yield f"has {name} = {own!r}, where {named} has a method"
            continue
        wanted = inspect.signature(declared).parameters.values()
        places = [one.name for one in wanted if one.kind is one.POSITIONAL_OR_KEYWORD]
        keywords = [one.name for one in wanted if one.kind is one.KEYWORD_ONLY]
        if isinstance(inspect.getattr_static(target, name), staticmethod):
            places = places[1:]
        try:
            inspect.signature(own).bind(*places, **dict.fromkeys(keywords))
        except TypeError as error:
            called = ", ".join([*places, *(f"{one}=…" for one in keywords)])
            yield f"has {name}{inspect.signature(own)}, which is called as {name}({called}): {error}"
        except ValueError:  # a builtin, which has no signature to compare
            continue
