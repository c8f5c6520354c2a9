"""Tell plugins written for earlier versions of the contracts what to write instead, in one sentence."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar

from .errors import PluginError

#: Names that modules of core once had.
NAMES = {
    "Needs": "list evaluations in requests(role), such as Request(TEACHER, Noised())",
    "Route": "give a Request its gradient: Gradient.CONSTANT, INPUT or PARAMETERS",
    "Estimate": "return a Denoised from estimate()",
    "SampleReader": "import it from dlmone.registry",
}
#: Members of an objective: a class that has one, and no `requests`, is refused.
OBJECTIVE = {
    "needs": "requests(role), which lists evaluations such as Request(TEACHER, Noised()); step[request].x0 "
    "reads one",
    "one_call_only": "step.calls, the call that is trained and their number",
}


class Renamed:
    """Explain attributes that had other names, ``renamed``: the new one, or what to read instead."""

    __slots__ = ()
    renamed: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        owner = type(self).__name__
        if name in self.renamed:
            raise PluginError(f"a plugin reads {owner}.{name}, which is now {self.renamed[name]}")
        for earlier, now in self.renamed.items():
            if now == name and earlier in dir(self):
                raise PluginError(f"{owner} has {earlier}, which is now {name}")
        raise AttributeError(f"{owner!r} has no attribute {name!r}")


def missing(module: str, name: str) -> Exception:
    """Return what to raise where a module has no such name."""
    if name in NAMES:
        return PluginError(f"{name} is no longer in {module}: {NAMES[name]} (docs/objectives.md)")
    return AttributeError(f"module {module!r} has no attribute {name!r}")


def refuse_members(cls: type, members: Mapping[str, str]) -> None:
    """Refuse a class that has a member of earlier versions."""
    for name, instead in members.items():
        if hasattr(cls, name):
            raise PluginError(f"{cls.__name__} has {name}, which is now {instead} (docs/objectives.md)")


def refuse_parameter(cls: type, method: str, parameter: str, instead: str) -> None:
    """Refuse a class whose method takes a parameter of earlier versions."""
    if parameter in signature(getattr(cls, method)).parameters:
        where = f"{cls.__name__}.{method}()"
        raise PluginError(f"{where} takes {parameter!r}, which is no longer passed: {instead}")
