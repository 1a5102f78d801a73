"""The connections to Microsoft: aiohttp's, or whatever httpx transport a test puts in their place.

httpx's own pool looks at every connection for every request, and its client takes twice the processor time of all the rest of a
batch. What goes wrong is told in httpx's errors, which tell best what was surely not sent from what may have been.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import httpx

if TYPE_CHECKING:
    from aiohttp import ClientSession

_CONNECTIONS = 200
_KEPT_ALIVE = 30.0  # seconds


@dataclass(slots=True)
class Reply:
    """A whole answer. `headers` are known in any case of letters, `content` is unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connections(Protocol):
    """Sends whole requests and gives whole answers."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        """Send one request. Raises httpx.TransportError: ConnectError and ConnectTimeout only when nothing was sent."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Connections through aiohttp, usable by httpx too. The session is made on first use, in the event loop that uses it.

    `connect` and `read` are the seconds to wait for a connection and for the next bytes of an answer.
    """

    def __init__(self, *, connect: float = 30, read: float = 100) -> None:
        self._connect = connect
        self._read = read
        self._session: ClientSession | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        """See Connections. A redirect is an answer."""
        from yarl import URL

        session = self._session or self._open()
        with _mapped():
            async with session.request(
                method,
                URL(url, encoded=True),  # links are opaque: their escapes stay as they are
                headers=headers,
                data=content,
                allow_redirects=False,
            ) as answer:
                return Reply(answer.status, answer.headers, await answer.read())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request of httpx's."""
        reply = await self.send(request.method, str(request.url), request.headers, await request.aread() or None)
        headers = [(name, value) for name, value in reply.headers.items() if name.lower() != "content-encoding"]
        return httpx.Response(reply.status, headers=headers, content=reply.content, request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        connector = TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_ALIVE, ssl=httpx.create_ssl_context())
        timeout = ClientTimeout(total=None, sock_connect=self._connect, sock_read=self._read)
        self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), timeout=timeout)
        return self._session


class HttpxConnections:
    """Connections through any httpx transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Reply:
        """See Connections."""
        response = await self._transport.handle_async_request(httpx.Request(method, url, headers=headers, content=content))
        return Reply(response.status_code, response.headers, await response.aread())

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


@contextmanager
def _mapped() -> Iterator[None]:
    import aiohttp

    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        unsent = httpx.ConnectTimeout if isinstance(error, aiohttp.ConnectionTimeoutError) else httpx.ConnectError
        raise unsent(type(error).__name__) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(type(error).__name__) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(type(error).__name__) from error
