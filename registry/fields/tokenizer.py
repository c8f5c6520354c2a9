"""A tokenizer as an option of a plugin: ``tokenizer: TokenizerChoice`` in its options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from dlmone.core.errors import InputError

from ..explain import dotted, validated
from ..schema import Slot
from ..shape import plain, switched_off
from ..short import table_of

if TYPE_CHECKING:
    from dlmone.core.text.tokenizer import TokenizerBuilder

    from ..catalogue import Catalogue


class TokenizerSlot(Slot):
    """What a short form names."""

    kind = "tokenizers"


class TokenizerChoice(BaseModel):
    """A tokenizer plugin and its options.

    In a recipe: ``"words"``, ``"bpe:4000"`` (a plugin with its first option), ``{ use = "bpe", … }``, or any
    other text, which is the first option of the default plugin (the place of a trained tokenizer).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str
    options: dict[str, Any] = {}
    _catalogue: Any = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _of_one_form(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return {"use": value}
        if isinstance(value, dict) and isinstance(value.get("use"), str):
            return {"use": value["use"], "options": {key: value[key] for key in value if key != "use"}}
        if isinstance(value, cls):
            return value
        raise ValueError('expected a name, or a table with use, as { use = "NAME" }')

    @model_validator(mode="after")
    def _of_catalogue(self, info: ValidationInfo) -> Self:
        """Check the choice against the plugins, where they are known: options that code makes are not."""
        if catalogue := (info.context or {}).get("catalogue"):
            self._settle(catalogue)
        return self

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"use": self.use, **self.options}

    def build(self, texts: Iterable[str]) -> str:
        """Return the text of the ``tokenizer.json`` (`TokenizerBuilder.build`).

        Raises:
            InputError: there is no such tokenizer, or its options are wrong.
            PluginError: there is no such plugin, or it cannot be used.
        """
        with self._explained():
            return self._builder().build(texts)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Let a sentence on a place without a tokenizer end with the plugin of nearly that name."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{error}{self._meant()}") from None

    def _meant(self) -> str:
        known = self._known().names(TokenizerSlot.kind)
        given = [text for text in (self.use, *self.options.values()) if isinstance(text, str)]
        for text in set(given) - set(known):
            if close := get_close_matches(text.partition(":")[0], known, n=1):
                return f"; or did you mean the tokenizer {close[0]!r}?"
        return ""

    def size(self) -> int | None:
        """Return the number of tokens where it is known without texts."""
        with self._explained():
            return self._builder().size()

    def _known(self) -> Catalogue:
        """Return the plugins that can be named: all installed ones, where code made the choice."""
        from ..discovery import Registry

        return self._catalogue or Registry.discover()

    def _builder(self) -> TokenizerBuilder:
        choice, catalogue = self, self._known()
        if self._catalogue is None:
            choice = self.model_copy()
            choice._settle(catalogue)
        options = catalogue.options(TokenizerSlot.kind, choice.use, choice.options, "tokenizer")
        return cast("TokenizerBuilder", catalogue.load(TokenizerSlot.kind, choice.use)(options))

    def _settle(self, catalogue: Catalogue) -> None:
        """Resolve the short forms, check the options and fill in their defaults."""
        table: dict[str, Any] = {"use": self.use, **self.options}
        if not self.options and self.use not in (known := catalogue.names(TokenizerSlot.kind)):
            if self.use.partition(":")[0] in known:
                table = table_of(TokenizerSlot, self.use, catalogue, "tokenizer")
            else:
                default = catalogue.defaults(TokenizerSlot.kind)[0]
                first = next(iter(catalogue.options_model(TokenizerSlot.kind, default).model_fields))
                table = {"use": default, first: self.use}
        use = table.pop("use")
        model = catalogue.options_model(TokenizerSlot.kind, use, "tokenizer")
        try:
            options = validated(model, switched_off(model, table), dotted)
        except InputError as error:
            raise ValueError(f"of the tokenizer {use!r}, {'; '.join(str(error).splitlines())}") from None
        self.__dict__.update(use=use, options=plain(options))
        self._catalogue = catalogue

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self  # it never changes, and the catalogue in it is the process's
