"""The body of a completions request: what it may ask for, and what is refused in a sentence."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dlmone.core import InputError
from dlmone.registry.explain import dotted, shortened, validated
from dlmone.runtime.parsing import parse_json

#: Fields of OpenAI's that mean nothing to a model which generates a text at once, and all they may say.
NEUTRAL: dict[str, Any] = {"stream": False, "echo": False, "best_of": 1, "temperature": 1, "top_p": 1}
NEUTRAL |= {"presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}, "stop": []}
NEUTRAL |= dict.fromkeys(("logprobs", "suffix", "stream_options"))


def _texts(prompt: Any) -> Any:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return texts
    raise ValueError("expected a text or a list of texts")


class Completion(BaseModel):
    """A request for ``n`` texts for each prompt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Annotated[list[str], BeforeValidator(_texts), Field(min_length=1)]
    model: str | None = None
    n: int = Field(1, ge=1)
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    max_tokens: int | None = Field(None, ge=1)
    user: str | None = None

    @classmethod
    def read(cls, body: bytes) -> Completion:
        """Read a request.

        Raises:
            InputError: it is no JSON, or asks for what there is not.
        """
        try:
            table = parse_json(body)
        except ValueError as error:
            raise InputError(f"the request's body: {error}") from None
        if not isinstance(table, dict):
            raise InputError("the request's body: expected a JSON object")
        for name, only in NEUTRAL.items():
            given = table.pop(name, None)
            if given is not None and (given != only or isinstance(given, bool) != isinstance(only, bool)):
                wanted, found = json.dumps(only), shortened(json.dumps(given, ensure_ascii=False))
                raise InputError(f"{name}: expected {wanted} or nothing, got {found}: a text is made at once")
        try:
            return validated(cls, table, dotted, also=NEUTRAL)
        except InputError as error:
            raise InputError("; ".join(str(error).splitlines()[:3])) from None  # there may be thousands
