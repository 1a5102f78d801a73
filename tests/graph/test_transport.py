"""The transport on real sockets: whole answers, and errors that tell what was surely not sent from what may have been."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from cloud.graph.errors import is_unsent
from cloud.graph.transport import AiohttpTransport

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def send(url: str, content: bytes = b"{}") -> httpx.Response:
    transport = AiohttpTransport(connect=5, read=0.2)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
    request = httpx.Request("POST", url, headers=headers, content=content)
    try:
        return await transport.handle_async_request(request)
    finally:
        await transport.aclose()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def test_it_sends_what_it_is_given_and_answers_with_status_headers_and_unpacked_body() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        body = gzip.compress(b'{"a": 1}')
        head = f"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    async with serving(handler) as url:
        response = await send(f"{url}/v1.0/$batch?a=b%20c", b'{"x": "\xc3\xa9"}')

    assert (response.status_code, response.headers["retry-after"], response.json()) == (429, "7", {"a": 1})
    assert seen[0].startswith(b"POST /v1.0/$batch?a=b%20c HTTP/1.1\r\n")
    assert seen[0].endswith(b'\r\n\r\n{"x": "\xc3\xa9"}')
    assert b"content-type: application/json" in seen[0].lower()


async def test_a_redirect_is_an_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n")

    async with serving(handler) as url:
        assert (await send(url)).status_code == 302


async def test_a_refused_connection_was_surely_not_sent() -> None:
    async with serving(lambda *_: asyncio.sleep(0)) as url:
        pass
    with pytest.raises(httpx.ConnectError) as caught:
        await send(url)
    assert is_unsent(caught.value)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def hang_up_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"nonsense\r\n\r\n")


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.transport.abort()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(1)


@pytest.mark.parametrize("handler", [hang_up, hang_up_early, talk_nonsense, reset, say_nothing])
async def test_whatever_goes_wrong_after_sending_may_have_been_carried_out(handler: Handler) -> None:
    async with serving(handler) as url:
        with pytest.raises(httpx.TransportError) as caught:
            await send(url)
    assert not is_unsent(caught.value)


async def test_the_escapes_of_a_link_stay_as_they_are() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    link = "/v1.0/users/delta?$deltatoken=a%2Bb%27c%3D'd'%7E"
    async with serving(handler) as url:
        await send(url + link)
    assert seen[0].startswith(f"POST {link} HTTP/1.1\r\n".encode())
