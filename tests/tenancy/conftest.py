"""A tenant of the stand-in, and what connects it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import httpx
import pytest

from cloud.graph.graph import Graph
from local.m365.transport import Microsoft365Transport
from local.memory import Delivery
from sync_core import messages
from sync_core.engine import schedule
from sync_core.engine.context import Context
from sync_core.errors import TransientError
from sync_core.notices import Notice
from tenancy import leaving, notices, residency
from tenancy.services import Installation, Tenancy, Webhook
from tests.engine.world import CLIENT, TENANT, OneSecret, World, deliver

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


class _NeverError(Exception):
    """Raised by nobody."""


class Site:
    """A world in which tenants connect themselves."""

    def __init__(self, *, region: str = "westeurope", tenants: frozenset[str] | None = None, eu_address: str = "") -> None:
        self.world = _World(self)
        self.cloud = self.world.cloud
        self.tenant = self.world.tenant
        self.webhook = RecordedWebhook()
        self.erased: list[str] = []
        self.documents_down = False
        self.erase_fails = 0
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

        async def notify(notice: Notice) -> None:
            await notices.note(self.world.context, notice)

        return replace(self.world.context, admit=admit, notify=notify)

    async def settle(self, *, dying: type[Exception] = _NeverError, most: int = 5000) -> None:
        """Deliver every message, those of this package too. What dies of `dying` is delivered again later."""
        world = self.world
        for _ in range(most):
            upcoming = world.queues.next_at()
            if upcoming is None:
                return
            if upcoming > world.clock.now():
                world.clock.advance(upcoming - world.clock.now())
            delivery = world.queues.receive()
            assert delivery is not None
            try:
                await self._deliver(delivery)
            except dying:
                await world.queues.send(delivery.queue, json.loads(delivery.body), delay=60)

    async def _deliver(self, delivery: Delivery) -> None:
        if delivery.queue == messages.NOTIFY:
            notify = messages.parse(messages.Notify, delivery.body)
            await notices.tell(lambda: self.tenancy, self.world.context, notify)
        elif delivery.queue == messages.DISCONNECT:
            await schedule.schedule_syncs(self.world.context)  # the timer has gone off meanwhile
            disconnect = messages.parse(messages.Disconnect, delivery.body)
            await leaving.go_on(lambda: self.tenancy, self.world.context, disconnect)
        else:
            await deliver(self.world.context, delivery)

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
        if self.erase_fails:
            self.erase_fails -= 1
            raise OSError
        self.erased.append(tenant)


class _World(World):
    """Delivers the messages of this package too."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site

    async def settle(self, *, workers: Iterable[Context] | None = None, most: int | None = None) -> None:
        """See World."""
        await self._site.settle(most=5000 if most is None else most)


@pytest.fixture
def site() -> Site:
    return Site(tenants=frozenset({TENANT}))
