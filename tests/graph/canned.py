"""A Graph of canned answers for what the stand-in for Microsoft 365 does not do on demand, and how tests open a `Graph`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson

from cloud.graph.credentials import Application, ClientSecret, Proof
from cloud.graph.graph import Graph
from local.clock import VirtualClock
from sync_core.errors import NotFoundError

TENANT = "11111111-1111-1111-1111-111111111111"
HOST = "http://127.0.0.1:8"
BASE = f"{HOST}/v1.0"

Item = dict[str, Any]
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class FewSecrets:
    """A store that knows what it was given."""

    def __init__(self, **known: bytes) -> None:
        self.known = known

    async def get(self, name: str) -> bytes:
        """The secret."""
        if name not in self.known:
            raise NotFoundError(name)
        return self.known[name]

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:
        """The secret, and the one before it under "<name>-previous"."""
        return [await self.get(name), *(value for known, value in self.known.items() if known == f"{name}-previous")]


class Canned(httpx.AsyncBaseTransport):
    """Answers each batch item with `item`, a whole call with `call`, a token request with `token`; records what came."""

    def __init__(
        self,
        item: Callable[[Item], Reply] = lambda item: (200, {"id": "made"}),
        *,
        call: Callable[[httpx.Request], httpx.Response | None] = lambda request: None,
        token: Callable[[httpx.Request], httpx.Response | None] = lambda request: None,
    ) -> None:
        self.item = item
        self.call = call
        self.token = token
        self.tokens: list[httpx.Request] = []
        self.calls: list[httpx.Request] = []
        self.batches: list[list[Item]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        await request.aread()
        if "/oauth2/" in request.url.path:
            self.tokens.append(request)
            return self.token(request) or httpx.Response(
                200, json={"access_token": f"token {len(self.tokens)}", "expires_in": 3599, "token_type": "Bearer"}
            )
        self.calls.append(request)
        if request.url.path.endswith("/$batch"):
            self.batches.append(orjson.loads(request.content)["requests"])
        answer = self.call(request)
        if answer is not None:
            return answer
        return httpx.Response(200, json={"responses": [self._answered(item) for item in reversed(self.batches[-1])]})

    def _answered(self, item: Item) -> Item:
        status, body, *headers = self.item(item)
        return {"id": item["id"], "status": status, "body": body, "headers": headers[0] if headers else {}}


def open_graph(
    transport: httpx.AsyncBaseTransport,
    clock: VirtualClock,
    *,
    proof: Proof = ClientSecret("secret"),  # noqa: B008
    secrets: FewSecrets | None = None,
    base_url: str = BASE,
    authority: str = HOST,
    permanent_delete: bool | None = None,
) -> Graph:
    """A Graph over the transport."""
    return Graph(
        Application("the-app", proof),
        secrets or FewSecrets(secret=b"s3cret"),
        clock,
        base_url=base_url,
        authority=authority,
        permanent_delete=permanent_delete,
        transport=transport,
    )


def failed(status: int, code: str, **headers: str) -> Reply:
    """An error as Graph words it."""
    return (
        status,
        {"error": {"code": code, "message": "do not branch on this"}},
        {k.replace("_", "-"): v for k, v in headers.items()},
    )


def create(key: str) -> bytes:
    """The body of a small contact."""
    return orjson.dumps({"displayName": key})
