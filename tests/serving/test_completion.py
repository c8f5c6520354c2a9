"""A completions request: what it may ask for, and one sentence for what it may not."""

import json
import re

import pytest

from dlmone.core import InputError
from dlmone.serving.completion import NEUTRAL, Completion


def test_a_prompt_or_several() -> None:
    one = Completion.read(b'{"prompt": "what is it ?", "model": "m", "n": 2, "seed": 7, "user": "me"}')
    assert (one.prompt, one.model, one.n, one.seed) == (["what is it ?"], "m", 2, 7)
    several = Completion.read(b'{"prompt": ["a", "b"]}')
    assert (several.prompt, several.n, several.seed) == (["a", "b"], 1, None)


@pytest.mark.parametrize("value", ["what OpenAI has by default", None])
def test_what_means_nothing_here_may_be_said_neutrally(value: str | None) -> None:
    said = dict.fromkeys(NEUTRAL) if value is None else NEUTRAL
    assert Completion.read(json.dumps({"prompt": "a", **said}).encode()).prompt == ["a"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the request's body: malformed JSON"),
        (b"{", "the request's body: malformed JSON"),
        (b"\xff", "the request's body: not UTF-8"),
        (b"[" * 60_000, "the request's body: JSON that is nested too deeply"),
        (b'{"n": ' + b"9" * 5000 + b"}", "too many digits"),
        (b"[]", "expected a JSON object"),
        (b"{}", "prompt: missing"),
        (b'{"prompt": null}', "prompt: expected a text or a list of texts, got null"),
        (b'{"prompt": 5}', "prompt: expected a text or a list of texts, got 5"),
        (b'{"prompt": {"text": "a"}}', "prompt: expected a text or a list of texts"),
        (b'{"prompt": []}', "prompt: expected at least 1 item, got []"),
        (b'{"prompt": [1, 2]}', "prompt: expected a text or a list of texts, got [1, 2]"),
        (b'{"prompt": ["a", 5]}', 'prompt: expected a text or a list of texts, got ["a", 5]'),
        (
            json.dumps({"prompt": [0] * 9000}).encode(),
            "prompt: expected a text or a list of texts, got [0, 0",
        ),
        (b'{"promt": "a"}', "prompt: missing; promt: unknown key; did you mean 'prompt'?"),
        (b'{"prompt": "a", "temprature": 1}', "temprature: unknown key; did you mean 'temperature'?"),
        (b'{"prompt": "a", "n": 0}', "n: expected a number greater than or equal to 1, got 0"),
        (b'{"prompt": "a", "n": "2"}', "n: expected a valid integer"),
        (b'{"prompt": "a", "n": true}', "n: expected a number, got true"),
        (b'{"prompt": "a", "n": 1.5}', "n: expected a valid integer"),
        (b'{"prompt": "a", "seed": 1e999}', "seed: expected a"),
        (
            b'{"prompt": "a", "seed": 9223372036854775808}',
            "seed: expected a number up to 922337203685477580",
        ),
        (b'{"prompt": "a", "max_tokens": 0}', "max_tokens: expected a number greater"),
        (b'{"prompt": "a", "stream": true}', "stream: expected false or nothing, got true"),
        (b'{"prompt": "a", "stream": 0}', "stream: expected false or nothing, got 0"),
        (b'{"prompt": "a", "temperature": 0.7}', "temperature: expected 1 or nothing, got 0.7"),
        (b'{"prompt": "a", "temperature": NaN}', "temperature: expected 1 or nothing, got NaN"),
        (b'{"prompt": "a", "logprobs": 5}', "logprobs: expected null or nothing, got 5"),
        (b'{"prompt": "a", "stop": "\\ud800"}', "stop: expected [] or nothing, got"),
    ],
)
def test_a_wrong_request_is_one_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        Completion.read(body)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    str(caught.value).encode()
