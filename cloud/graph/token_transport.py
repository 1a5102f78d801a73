"""Lets azure-identity send its token requests through httpx, so that one HTTP stack serves tokens and Graph alike."""

from __future__ import annotations

from typing import Any

import httpx
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport
from azure.core.rest import HttpRequest

from cloud.graph.errors import is_unsent
from sync_core.ports import Clock


class _Response(AsyncHttpResponse):
    def __init__(self, request: Any, response: httpx.Response) -> None:
        super().__init__(request, response)
        self.status_code = response.status_code
        self.headers = response.headers
        self.reason = response.reason_phrase
        self.content_type = response.headers.get("content-type")
        self._content = response.content

    def body(self) -> bytes:
        return self._content


class TokenTransport(AsyncHttpTransport[HttpRequest, AsyncHttpResponse]):
    """Sends what azure-identity builds. Its caller owns `client`.

    azure-identity insists on an https authority. It gets `secure_authority`, whose requests go to `authority`: the same one, or
    plain http on this very machine.
    """

    def __init__(self, client: httpx.AsyncClient, clock: Clock, *, authority: str) -> None:
        self._client = client
        self._clock = clock
        self._authority = authority
        self.secure_authority = "https://" + authority.split("://", 1)[1]

    async def send(self, request: HttpRequest, **_: Any) -> AsyncHttpResponse:
        """Send one request. Raises azure-core's own transport errors."""
        url = request.url
        if url.startswith(self.secure_authority + "/"):
            url = self._authority + url.removeprefix(self.secure_authority)
        body: Any = request.content
        form = body if isinstance(body, dict) else None
        try:
            response = await self._client.request(
                request.method, url, headers=dict(request.headers), data=form, content=None if form else body
            )
        except httpx.HTTPError as error:
            raise (ServiceRequestError if is_unsent(error) else ServiceResponseError)(type(error).__name__) from error
        return _Response(request, response)

    async def sleep(self, duration: float) -> None:
        """Wait between azure-identity's own attempts."""
        await self._clock.sleep(duration)

    async def open(self) -> None:
        """The client is open already."""

    async def close(self) -> None:
        """The client belongs to somebody else."""

    async def __aexit__(self, *_: object) -> None:
        """The client belongs to somebody else."""
