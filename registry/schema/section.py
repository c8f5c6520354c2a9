"""What all sections of a recipe have in common."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator

from ..fields import bounds
from ..shape import switched_off


class Part(BaseModel):
    """A section of a recipe. ``false`` switches an optional value off (``clip_norm = false``)."""

    @model_validator(mode="before")
    @classmethod
    def _switch_off(cls, section: Any) -> Any:
        return switched_off(cls, section)


class Section(Part):
    """A section that accepts known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Slot(Part):
    """A section that names a plugin with ``use``; other unknown keys are the plugin's options."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    #: The kind of plugin required here, as in the hook ``register_<kind>``.
    kind: ClassVar[str]

    #: The plugin's name; `dlmone plugins` lists those installed.
    use: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _examples(value: Any) -> Any:
    if value == "all":
        return None
    if isinstance(value, str):
        raise ValueError('expected a number of examples, or "all"')
    return value


#: A number of examples from the start of a split; None, in a recipe "all", is the whole split.
Examples = Annotated[
    bounds.Examples | None,
    BeforeValidator(_examples),
    PlainSerializer(lambda examples: "all" if examples is None else examples, when_used="json"),
]


def in_order(section: Any, key: str, order_key: str) -> Any:
    """Return a section whose parts under ``key`` begin with those that ``order_key`` lists."""
    if not isinstance(section, dict):
        return section
    order, parts = section.get(order_key), section.get(key)
    if not (isinstance(order, (list, tuple)) and isinstance(parts, dict)):
        return section
    # A part removed by an ablation may still be listed in the file; it is not listed in a resolved recipe.
    listed = [name for name in order if name in parts]
    return {**section, key: {name: parts[name] for name in listed} | parts, order_key: listed}
