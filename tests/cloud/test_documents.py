"""Fetching Entra's documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from cloud import documents
from cloud.documents import fetch
from sync_core.errors import TransientError

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []

    async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/document"

    yield serving
    for runner in runners:
        await runner.cleanup()


async def test_a_document_comes_as_it_is(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b'{"keys": []}')

    assert await fetch(await serve(answer)) == b'{"keys": []}'


@pytest.mark.parametrize("status", [301, 302, 404, 429, 500])
async def test_anything_but_a_document_is_refused(serve: Serve, status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/document", "redirects are not followed"
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    with pytest.raises(TransientError):
        await fetch(await serve(answer))


async def test_a_document_without_end_is_given_up(serve: Serve) -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 64 * 1024 * 1024:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    with pytest.raises(TransientError, match="too large"):
        await fetch(await serve(answer))
    assert sent < 16 * 1024 * 1024


async def test_a_server_that_says_nothing_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    monkeypatch.setattr(documents, "_PATIENCE", 0.1)
    with pytest.raises(TransientError):
        await fetch(await serve(answer))
    with pytest.raises(TransientError):
        await fetch("http://127.0.0.1:9/nobody")
