"""One HTTP client for the process: authorised requests to Graph, raw bytes in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from cloud.graph.credentials import Application, Tokens
from cloud.graph.transport import AiohttpTransport, Connections, HttpxConnections, Reply
from sync_core.errors import InputError
from sync_core.model import Spent
from sync_core.ports import Clock, VersionedSecrets

IMMUTABLE = 'IdType="ImmutableId"'
"""Item ids that survive a move between folders. https://learn.microsoft.com/graph/outlook-immutable-id"""

_READING = {"Accept": "application/json", "Accept-Encoding": "gzip", "Prefer": IMMUTABLE}
_WRITING = {"Accept": "application/json", "Accept-Encoding": "gzip", "Content-Type": "application/json"}


class Client:
    """Sends authorised requests.

    They carry what the SDK tells Microsoft with each request, but do not go through its client, which takes more processor time
    for a batch than sending it and reading the answer, nor through its retry handler, which repeats POST requests.
    """

    def __init__(
        self,
        application: Application,
        secrets: VersionedSecrets,
        clock: Clock,
        *,
        base_url: str,
        authority: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = _checked(base_url, "graph_url")
        self._origin = _origin(self.base_url)
        ours = transport or AiohttpTransport()
        self._connections: Connections = ours if isinstance(ours, AiohttpTransport) else HttpxConnections(ours)
        self.resource = self.base_url.rsplit("/", 1)[0] if self.base_url.startswith("https:") else "https://graph.microsoft.com"
        self._tokens = Tokens(
            application,
            secrets,
            clock,
            httpx.AsyncClient(transport=ours),
            authority=_checked(authority, "authority"),
            scope=f"{self.resource}/.default",
        )
        self._telemetry: Mapping[str, str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(
        self,
        tenant: str,
        method: str,
        url: str,
        *,
        spent: Spent,
        content: bytes | None = None,
        requests: int = 1,
    ) -> Reply:
        """Send one request to a whole `url` of ours, and once more with a new token when the first is refused.

        `requests` is what it counts for. Raises TenantError or TransientError (no token, nothing was sent), httpx.HTTPError.
        """
        if self._telemetry is None:
            self._loop = asyncio.get_running_loop()
            self._telemetry = await _telemetry(self.base_url)
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this Graph client belongs to another event loop")
        headers = {**(_READING if content is None else _WRITING), **self._telemetry}
        rejected = ""
        while True:
            token = await self._tokens.get(tenant, rejected=rejected)
            headers["Authorization"] = f"Bearer {token}"
            headers["client-request-id"] = str(uuid4())
            spent.http_calls += 1
            spent.requests += requests
            reply = await self._connections.send(method, url, headers, content)
            if reply.status != 401 or rejected:
                return reply
            rejected = token

    async def renew(self, tenant: str) -> None:
        """Replace the tenant's token, which an item of a batch found refused."""
        await self._tokens.get(tenant, rejected=await self._tokens.get(tenant))

    async def new_token(self, tenant: str) -> str:
        """A token that is issued now, with the permissions as they are now. Raises TenantError or TransientError."""
        return await self._tokens.issue(tenant)

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
        await self._connections.aclose()


async def _telemetry(base_url: str) -> Mapping[str, str]:
    """The headers by which the SDK tells Microsoft's clouds about itself."""
    # the SDK's core package ships no types
    from msgraph_core import APIVersion, GraphClientFactory  # type: ignore[import-untyped]
    from msgraph_core.middleware import GraphTelemetryHandler  # type: ignore[import-untyped]
    from msgraph_core.middleware.options import GraphTelemetryHandlerOption  # type: ignore[import-untyped]

    seen: dict[str, str] = {}

    def note(request: httpx.Request) -> httpx.Response:
        seen.update(request.headers)
        return httpx.Response(200)

    option = GraphTelemetryHandlerOption(api_version=APIVersion.v1, sdk_version=version("msgraph-sdk"))
    client = httpx.AsyncClient(transport=httpx.MockTransport(note))
    sdk = GraphClientFactory.create_with_custom_middleware([GraphTelemetryHandler(option)], client=client)
    # its transport runs the middleware only for requests that carry its options
    await sdk.send(httpx.Request("GET", base_url, extensions={"kiota_request_options": {}}))
    await sdk.aclose()
    return {name: seen[name] for name in ("sdkversion", "hostos", "runtimeenvironment") if name in seen}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _checked(url: str, field: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")):
        raise InputError(field, "must be an https address; plain http is for this machine only")
    return url.rstrip("/")
