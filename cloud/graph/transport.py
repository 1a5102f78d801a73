"""httpx over aiohttp's connections.

httpx's own pool looks at every connection for every request, which takes ten times the processor time of all the rest of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from aiohttp import ClientSession

_CONNECTIONS = 200
_KEPT_ALIVE = 30.0  # seconds


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends whole requests and gives whole answers. The session is made on first use, in the event loop that uses it."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises httpx.TransportError: ConnectError and ConnectTimeout only when nothing was sent."""
        from aiohttp import ClientTimeout
        from yarl import URL

        limits = request.extensions.get("timeout", {})
        timeout = ClientTimeout(total=None, sock_connect=limits.get("connect"), sock_read=limits.get("read"))
        with _mapped(request):
            async with self._open().request(
                request.method,
                URL(str(request.url), encoded=True),  # links are opaque: their escapes stay as they are
                headers=request.headers,
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=timeout,
            ) as answer:
                content = await answer.read()
        return httpx.Response(answer.status, headers=answer.raw_headers, content=content, request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            connector = TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT_ALIVE, ssl=httpx.create_ssl_context())
            self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
        return self._session


@contextmanager
def _mapped(request: httpx.Request) -> Iterator[None]:
    import aiohttp

    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        unsent = httpx.ConnectTimeout if isinstance(error, aiohttp.ConnectionTimeoutError) else httpx.ConnectError
        raise unsent(type(error).__name__, request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(type(error).__name__, request=request) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__, request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(type(error).__name__, request=request) from error
