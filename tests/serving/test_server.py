"""The server over loopback: answers as OpenAI's, refusals, and a shutdown that finishes what was begun."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner

import dlmone
from dlmone.cli import main
from dlmone.cli.commands.serve import tell
from dlmone.core import InputError
from dlmone.models.model import Model
from dlmone.serving import server
from dlmone.serving.batching import Batcher
from dlmone.serving.server import BYTES, application, listen

PROMPTS = ["what is it ?", "how do i learn ?"]


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status of an answer and its JSON; a body that is no bytes is sent as JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, sent)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def complete(port: int, **asked: Any) -> tuple[int, Any]:
    return ask(port, "POST", "/v1/completions", asked)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Model:
    return dlmone.load(tiny_run, device="cpu")


@pytest.fixture(scope="module")
def batcher(model: Model) -> Batcher:
    return Batcher(model, 1, batch=4, most=20)


@pytest.fixture(scope="module")
def port(batcher: Batcher) -> Iterator[int]:
    """A server of the tiny student, of 8 texts a request, in this process."""
    ready = threading.Event()
    app = application(batcher, "tiny", 8, ready.set)
    with listen("127.0.0.1", 0) as listening:
        serving = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=serving.run, args=([listening],))
        thread.start()
        assert ready.wait(60)
        yield listening.getsockname()[1]
        serving.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def test_an_answer_has_openais_form_and_dlmones_texts(port: int, model: Model) -> None:
    status, found = complete(port, model="tiny", prompt=PROMPTS, n=2, seed=5, max_tokens=16)
    assert status == 200
    assert (found["object"], found["model"], found["system_fingerprint"]) == (
        "text_completion",
        "tiny",
        model.fingerprint,
    )
    assert found["id"].startswith("cmpl-")
    assert abs(found["created"] - time.time()) < 600
    texts = [text for each in model.generate(PROMPTS, seed=5, candidates=2) for text in each]
    assert found["choices"] == [
        {"index": index, "text": text, "finish_reason": "stop", "logprobs": None}
        for index, text in enumerate(texts)
    ]


def test_without_a_seed_answers_vary(port: int) -> None:
    found = [complete(port, prompt=PROMPTS[0], n=4)[1]["choices"] for _ in range(2)]
    assert len(found[0]) == 4
    assert found[0] != found[1]


def test_many_clients_at_once_get_their_own_texts(port: int, model: Model) -> None:
    answers: dict[int, tuple[int, Any]] = {}

    def client(seed: int) -> None:
        answers[seed] = complete(port, prompt=PROMPTS[seed % 2], seed=seed)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed in range(12):
        status, found = answers[seed]
        assert status == 200
        assert found["choices"][0]["text"] == model.generate([PROMPTS[seed % 2]], seed=seed)[0][0]


def test_models_and_health(port: int) -> None:
    status, found = ask(port, "GET", "/v1/models")
    assert (status, found["object"], [one["id"] for one in found["data"]]) == (200, "list", ["tiny"])
    assert ask(port, "GET", "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("POST", "/v1/completions", b"{", 400, "malformed JSON"),
        ("POST", "/v1/completions", {"prompt": "a", "stream": True}, 400, "stream: expected false"),
        ("POST", "/v1/completions", {"prompt": "a", "n": 9}, 400, "9 texts; 8 are allowed in one"),
        ("POST", "/v1/completions", {"prompt": ["a"] * 5, "n": 2}, 400, "10 texts; 8 are allowed"),
        ("POST", "/v1/completions", {"prompt": 5}, 400, "prompt: expected a text or a list of texts"),
        ("POST", "/v1/completions", {"prompt": ""}, 400, "prompt: expected a text to answer"),
        ("POST", "/v1/completions", {"prompt": ["a", " "]}, 400, "prompt: expected a text to answer"),
        ("POST", "/v1/completions", {"prompt": "it " * 40}, 400, "leaves no room for a target"),
        ("POST", "/v1/completions", {"prompt": "a", "max_tokens": 15}, 400, "up to 16 tokens is made at"),
        ("POST", "/v1/completions", {"prompt": "a", "model": "gpt"}, 404, "this server has 'tiny'"),
        ("POST", "/v1/completions", b" " * (BYTES + 1), 413, f"more than {BYTES} bytes"),
        ("GET", "/v1/completions", None, 405, "Method Not Allowed"),
        ("POST", "/v1/chat/completions", {"prompt": "a"}, 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(
    port: int, method: str, path: str, body: Any, status: int, sentence: str
) -> None:
    found, told = ask(port, method, path, body)
    assert found == status
    assert list(told) == ["error"]
    assert sentence in told["error"]["message"]
    assert (told["error"]["type"], "\n" in told["error"]["message"]) == ("invalid_request_error", False)
    assert complete(port, prompt=PROMPTS[0])[0] == 200


class Held:
    """Holds batches in the model until they may go, and counts their texts."""

    def __init__(self, batcher: Batcher, generate: Callable[..., Any]) -> None:
        self._batcher, self._generate = batcher, generate
        self.going = threading.Event()
        self.sizes: list[int] = []

    def generate(self, batch: Any, *args: Any) -> Any:
        self.sizes.append(len(batch.tokens_BL))
        assert self.going.wait(60)
        return self._generate(batch, *args)

    def fill(self, port: int) -> list[HTTPConnection]:
        """Return the connections of three clients that asked for 8 texts each."""
        return [self.asked(port, waiting) for waiting in (4, 12, 20)]

    def asked(self, port: int, waiting: int) -> HTTPConnection:
        """Ask for 8 texts, and return the connection as soon as so many texts wait."""
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps({"prompt": PROMPTS[0], "n": 8}))
        self.until(waiting)
        return connection

    def until(self, waiting: int) -> None:
        """Return as soon as so many texts wait."""
        deadline = time.monotonic() + 60
        while len(self._batcher.waiting) != waiting:
            assert time.monotonic() < deadline, f"{len(self._batcher.waiting)} texts wait, not {waiting}"
            time.sleep(0.01)


@pytest.fixture
def held(model: Model, batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """The server with 20 texts waiting, all that may: 4 of the first client's 8 are held in the model."""
    held = Held(batcher, model.generator.generate)
    monkeypatch.setattr(model.generator, "generate", held.generate)
    try:
        yield held
    finally:
        held.going.set()


def test_a_full_queue_is_503(port: int, held: Held) -> None:
    clients = held.fill(port)
    status, found = complete(port, prompt=PROMPTS[0])
    assert (status, found["error"]["type"]) == (503, "server_error")
    assert "20 texts wait already" in found["error"]["message"]
    held.going.set()
    assert [client.getresponse().status for client in clients] == [200] * 3


def test_a_client_that_has_left_gives_up_its_place(port: int, held: Held) -> None:
    first, *others = held.fill(port)
    for client in others:
        client.close()
    held.until(4)
    last = held.asked(port, 12)
    held.going.set()
    assert [client.getresponse().status for client in (first, last)] == [200] * 2
    assert held.sizes == [4] * 4  # nothing was computed for those who left


def test_the_queue_goes_on_after_all_have_left(port: int, held: Held) -> None:
    for client in held.fill(port):
        client.close()
    held.until(0)
    held.going.set()
    assert complete(port, prompt=PROMPTS[0])[0] == 200
    assert held.sizes == [4, 1]


def test_a_body_that_does_not_come_is_408(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SECONDS", 0.1)
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/v1/completions")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"{")
    answer = connection.getresponse()
    assert answer.status == 408
    assert "did not arrive within" in json.loads(answer.read())["error"]["message"]


def test_a_model_without_a_condition_takes_an_empty_prompt(
    port: int, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.generator.space, "conditional", False)
    status, found = complete(port, prompt="a")
    assert (status, "takes no condition" in found["error"]["message"]) == (400, True)
    assert complete(port, prompt=" ")[0] == 400
    assert len(complete(port, prompt="", n=3)[1]["choices"]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_server_finishes_what_was_begun(tiny_run: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "dlmone", "serve", str(tiny_run), "--port", "0", "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) as process:
        try:
            address = process.stdout.readline().strip()
            host, _, port = address.removeprefix("http://").partition(":")
            body = json.dumps({"prompt": PROMPTS, "seed": 3}).encode()
            with socket.create_connection((host, int(port)), timeout=60) as begun:
                head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                begun.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
                assert begun.recv(1000).startswith(b"HTTP/1.1 100")  # it reads the body now
                process.send_signal(number)
                while accepts(host, int(port)):
                    time.sleep(0.05)
                begun.sendall(body)
                answer = begun.makefile("rb").read()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert answer.startswith(b"HTTP/1.1 200")
    texts = [one["text"] for one in json.loads(answer.partition(b"\r\n\r\n")[2])["choices"]]
    assert texts == [text for [text] in dlmone.load(tiny_run, device="cpu").generate(PROMPTS, seed=3)]
    assert (process.returncode, said) == (0, "stopped\n")


def test_a_signal_is_heard_as_soon_as_the_address_is_printed(tiny_run: Path) -> None:
    command = [sys.executable, "-m", "dlmone", "serve", str(tiny_run), "--port", "0", "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) as process:
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "stopped\n")


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_head() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_is_taken_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "qqp-compact", "--port", str(port)])
        with pytest.raises(InputError, match="can't listen there"):
            listen("127.0.0.1", port)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: 127.0.0.1:{port}: can't listen there (")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["", " "])
def test_an_empty_host_is_not_every_address(host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "qqp-compact", "--host", host])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: --host: expected an address of this machine, got an empty one\n"


def test_it_serves_on_where_nobody_reads_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        tell("http://127.0.0.1:1")
        print("goes nowhere, and fails no more", flush=True)


def test_without_the_extra_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "dlmone.serving.server")
    result = CliRunner().invoke(main, ["serve", "qqp-compact"])
    assert (result.exit_code, result.stderr) == (
        2,
        'error: serving needs an extra: pip install "dlmone[serve]"\n',
    )
