"""The stand-in behind httpx, in-process: for tests and for the real SDK without a socket."""

from __future__ import annotations

import httpx

from local.m365.service import Microsoft365
from local.m365.wire import ConnectionDropped, Request


class Microsoft365Transport(httpx.AsyncBaseTransport):
    """Carries httpx requests to the core. A dropped connection becomes the error httpx would raise for it."""

    def __init__(self, service: Microsoft365) -> None:
        self.service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request. Raises httpx.ConnectError (not carried out) or httpx.RemoteProtocolError (nobody knows)."""
        url = request.url
        base = f"{url.scheme}://{url.netloc.decode()}"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
        body = await request.aread()
        neutral = Request(request.method, url.raw_path.decode("ascii"), headers, body, base)
        try:
            response = await self.service.handle(neutral)
        except ConnectionDropped as dropped:
            if dropped.executed:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request) from None
            raise httpx.ConnectError("All connection attempts failed", request=request) from None
        return httpx.Response(response.status, headers=response.headers, content=response.body, request=request)
