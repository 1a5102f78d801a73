"""One HTTP client for the process: authorised requests to Graph, raw bytes in and out."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx

from cloud.graph.credentials import Application, Tokens
from cloud.graph.transport import AiohttpTransport
from sync_core.errors import InputError
from sync_core.model import Spent
from sync_core.ports import Clock, Secrets

IMMUTABLE = 'IdType="ImmutableId"'
"""Item ids that survive a move between folders. https://learn.microsoft.com/graph/outlook-immutable-id"""

_TIMEOUT = httpx.Timeout(100, connect=30, pool=None)
# The SDK's transport runs its middleware only for requests that carry its options.
_EXTENSIONS = {"kiota_request_options": {}, "timeout": _TIMEOUT.as_dict()}


class Client:
    """Sends authorised requests.

    Through the SDK's client factory and its telemetry middleware, without its request adapter: that one costs 0.3 ms of processor
    time a call, twice what httpx itself needs. And without its retry handler, which repeats POST requests.
    """

    def __init__(
        self,
        application: Application,
        secrets: Secrets,
        clock: Clock,
        *,
        base_url: str,
        authority: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = _checked(base_url, "graph_url")
        self._origin = _origin(self.base_url)
        self._transport = transport or AiohttpTransport()
        self._plain = httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT)
        resource = self.base_url.rsplit("/", 1)[0] if self.base_url.startswith("https:") else "https://graph.microsoft.com"
        self._tokens = Tokens(
            application,
            secrets,
            clock,
            self._plain,
            authority=_checked(authority, "authority"),
            scope=f"{resource}/.default",
        )
        self._graph: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(
        self,
        tenant: str,
        method: str,
        url: str | httpx.URL,
        *,
        spent: Spent,
        content: bytes | None = None,
        requests: int = 1,
    ) -> httpx.Response:
        """Send one request to a whole `url` of ours, and once more with a new token when the first is refused.

        `requests` is what it counts for. Raises TenantError or TransientError (no token, nothing was sent), httpx.HTTPError.
        """
        client = self._client()
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        headers |= {"Prefer": IMMUTABLE} if content is None else {"Content-Type": "application/json"}
        rejected = ""
        while True:
            token = await self._tokens.get(tenant, rejected=rejected)
            headers["Authorization"] = f"Bearer {token}"
            spent.http_calls += 1
            spent.requests += requests
            response = await client.send(
                httpx.Request(method, url, headers=headers, content=content, extensions=_EXTENSIONS.copy())
            )
            if response.status_code != 401 or rejected:
                return response
            rejected = token

    async def renew(self, tenant: str) -> None:
        """Replace the tenant's token, which an item of a batch found refused."""
        await self._tokens.get(tenant, rejected=await self._tokens.get(tenant))

    def owns(self, link: str) -> bool:
        """Whether a link leads to the same Graph as our own requests. Links carry the token to wherever they point."""
        return link.startswith(self.base_url + "/") or (
            _origin(link) == self._origin and urlsplit(link).path.startswith(urlsplit(self.base_url).path + "/")
        )

    def relative(self, link: str) -> str:
        """The part of a link of ours that a batch item takes for its url."""
        parts = urlsplit(link)
        path = parts.path.removeprefix(urlsplit(self.base_url).path)
        return f"{path}?{parts.query}" if parts.query else path

    async def close(self) -> None:
        """Close every connection."""
        await self._plain.aclose()  # closes the transport, which both clients share

    def _client(self) -> httpx.AsyncClient:
        if self._graph is None:
            # the SDK's core package ships no types
            from msgraph_core import APIVersion, GraphClientFactory  # type: ignore[import-untyped]
            from msgraph_core.middleware import GraphTelemetryHandler  # type: ignore[import-untyped]
            from msgraph_core.middleware.options import GraphTelemetryHandlerOption  # type: ignore[import-untyped]

            self._loop = asyncio.get_running_loop()
            telemetry = GraphTelemetryHandlerOption(api_version=APIVersion.v1, sdk_version=version("msgraph-sdk"))
            self._graph = GraphClientFactory.create_with_custom_middleware(
                [GraphTelemetryHandler(telemetry)], client=httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT)
            )
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this Graph client belongs to another event loop")
        return self._graph


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _checked(url: str, field: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")):
        raise InputError(field, "must be an https address; plain http is for this machine only")
    return url.rstrip("/")
