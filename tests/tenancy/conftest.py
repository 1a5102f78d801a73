"""A tenant of the stand-in, and what connects it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import httpx
import pytest

from cloud.graph.graph import Graph
from local.m365.transport import Microsoft365Transport
from sync_core.engine.context import Context
from sync_core.errors import TransientError
from tenancy import residency
from tenancy.services import Installation, Tenancy, Webhook
from tests.engine.world import CLIENT, TENANT, OneSecret, World

ADMIN = "aaaaaaaa-0000-4000-8000-000000000001"
ADDRESS = "https://rollcall.example"


@dataclass
class Sent:
    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass
class RecordedWebhook(Webhook):
    """Answers with the next of `answers` (a status or an error), then with 204."""

    sent: list[Sent] = field(default_factory=list)
    answers: list[int | Exception] = field(default_factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.sent.append(Sent(url, body, dict(headers)))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer


class Site:
    """A world in which tenants connect themselves."""

    def __init__(self, *, region: str = "westeurope", tenants: frozenset[str] | None = None, eu_address: str = "") -> None:
        self.world = World()
        self.cloud = self.world.cloud
        self.tenant = self.world.tenant
        self.webhook = RecordedWebhook()
        self.erased: list[str] = []
        self.documents_down = False
        graph = self.world.context.graph
        assert isinstance(graph, Graph)
        self.tenancy = Tenancy(
            self.world.context,
            Installation(CLIENT, "http://127.0.0.1:1", region, tenants, ADDRESS, eu_address),
            OneSecret(),
            graph.access(),
            self.webhook,
            self._fetch,
            self._erase,
        )

    def working(self) -> Context:
        """The engine's services as the app wires them."""

        async def admit(tenant: str) -> None:
            await residency.admit(self.tenancy, tenant)

        return replace(self.world.context, admit=admit)

    async def _fetch(self, url: str) -> bytes:
        """As cloud.documents does it."""
        if self.documents_down:
            raise TransientError("down")
        async with httpx.AsyncClient(transport=Microsoft365Transport(self.cloud)) as client:
            answer = await client.get(url)
        if answer.status_code != 200:
            raise TransientError(f"{answer.status_code} for {urlsplit(url).path}")
        return answer.content

    async def _erase(self, tenant: str) -> None:
        self.erased.append(tenant)


@pytest.fixture
def site() -> Site:
    return Site(tenants=frozenset({TENANT}))
