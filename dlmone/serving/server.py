"""Serve a model: the routes, their limits, and a shutdown that finishes what was begun."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dlmone.core import DlmoneError, InputError
from dlmone.generation.inputs import examples_of
from dlmone.runtime.interrupts import InterruptGuard

from .batching import Batcher, FullError
from .completion import Completion

#: Most bytes of a request's body, seconds until it is there, and connections at a time.
BYTES, SECONDS, CONNECTIONS = 65_536, 10, 500
#: What each kind of error is answered with.
STATUS = {InputError: 400, ClientDisconnect: 400, TimeoutError: 408, FullError: 503, DlmoneError: 500}


def application(batcher: Batcher, name: str, texts: int, ready: Callable[[], object]) -> Starlette:
    """Return the ASGI application.

    Args:
        batcher: generates.
        name: the model's id in requests.
        texts: most texts of one request.
        ready: called as soon as requests and signals are answered.
    """
    space = batcher.model.generator.space
    card = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "dlmone"}
    facts = {"object": "text_completion", "model": name, "system_fingerprint": batcher.model.fingerprint}
    whole = {"finish_reason": "stop", "logprobs": None}

    async def completions(request: Request) -> JSONResponse:
        asked = Completion.read(await _body(request))
        if asked.model not in (None, name):
            raise HTTPException(404, f"model: there is no {asked.model!r} here; this server has {name!r}")
        if (asked_for := len(asked.prompt) * asked.n) > texts:
            raise InputError(f"n: this request is for {asked_for} texts; {texts} are allowed in one")
        if not all(text.strip() if space.conditional else not text for text in asked.prompt):
            wanted = "a text to answer" if space.conditional else '"", as this model takes no condition'
            raise InputError(f"prompt: expected {wanted}")
        examples = examples_of(asked.prompt)
        length = space.collate(examples).tokens_BL.shape[1]  # refuses a prompt that does not fit
        if asked.max_tokens is not None and asked.max_tokens < length:
            raise InputError(f"max_tokens: a text of up to {length} tokens is made at once; leave it out")
        seed = secrets.randbits(63) if asked.seed is None else asked.seed
        generated = await _while_connected(request, batcher.answer(examples, seed, asked.n))
        choices = [{"index": index, "text": text, **whole} for index, text in enumerate(generated)]
        own = {"id": f"cmpl-{secrets.token_hex(12)}", "created": int(time.time())}
        return JSONResponse({**facts, **own, "choices": choices})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.run())
        ready()
        yield
        work.cancel()

    routes = [
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/models", lambda request: JSONResponse({"object": "list", "data": [card]})),
        Route("/health", lambda request: JSONResponse({"status": "ok"})),
    ]
    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, *STATUS), _refuse)
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


async def _body(request: Request) -> bytes:
    found = b""
    async with asyncio.timeout(SECONDS):
        async for chunk in request.stream():
            found += chunk
            if len(found) > BYTES:
                raise HTTPException(413, f"the request's body has more than {BYTES} bytes")
    return found


async def _while_connected(request: Request, work: Coroutine[Any, Any, list[str]]) -> list[str]:
    # After the body, the only message an ASGI server sends is that the client has left.
    answer, leaving = asyncio.create_task(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        leaving.cancel()


def _refuse(request: Request, error: Exception) -> JSONResponse:
    # Starlette's own errors have a status and a text; a timeout has none.
    status = getattr(error, "status_code", 0) or next(STATUS[k] for k in type(error).__mro__ if k in STATUS)
    text = getattr(error, "detail", "") or str(error) or f"the body did not arrive within {SECONDS} seconds"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": text, "type": kind, "param": None, "code": None}}, status)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Raises:
        InputError: the address is taken, or none of this machine's.
    """
    if not host.strip():  # which would be every address of this machine
        raise InputError("--host: expected an address of this machine, got an empty one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"{host}:{port}: can't listen there ({error.strerror or error})") from None
    # Connections inherit it. Without it an answer's body waits 40 ms for the client to confirm its head;
    # asyncio sets it where a socket names its protocol, which `create_server`'s does not.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(app: Starlette, listening: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM, then finish what was begun; a second signal stops at once."""
    config = uvicorn.Config(app, log_level="error", ws="none", limit_concurrency=CONNECTIONS)
    with InterruptGuard():  # uvicorn raises the signal again when it is done
        uvicorn.Server(config).run(sockets=[listening])
