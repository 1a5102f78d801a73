"""An installation of the app with a tenant: the real engine and adapters, driven as the host drives them, without its waits."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import timedelta
from typing import Any, Generic, TypeVar

import httpx

from cloud.clock import SystemClock
from cloud.graph.credentials import Application, ClientSecret
from cloud.graph.graph import Graph
from cloud.tables import AzureTables
from gdpr.encryption import TenantKeyring
from gdpr.retention import purge_caches
from gdpr.sealed_tables import SealedTables
from local.clock import VirtualClock
from local.memory import Delivery, MemoryBlobs, MemoryQueues, MemoryTables
from sync_core import messages
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine import admin, chunk, closing, runs, start
from sync_core.engine.context import Context
from sync_core.ports import Put, Remove
from sync_core.state import names
from sync_core.state.runs import Check, Run, load_run

TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_TENANT = "66666666-2222-4333-8444-555555555555"
CLIENT = "99999999-8888-4777-8666-555555555555"
SECRET = b64encode(b"s" * 32)
SYNC = "people"
MESSAGES_AT_A_TIME = 4
"""As host.json has it."""

_STEPS = {
    messages.SYNC_START: (messages.SyncStart, start.start_run),
    messages.SYNC_CHUNK: (messages.SyncChunk, chunk.run_chunk),
    messages.RUN_CHECK: (messages.RunCheck, closing.check_run),
}


class _OneSecret:
    async def get(self, name: str) -> bytes:  # noqa: ARG002 - the port's
        return SECRET

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:  # noqa: ARG002 - the port's
        return [SECRET]


Store = TypeVar("Store", bound=AzureTables | MemoryTables)


class Installation(Generic[Store]):
    """The app on `tables`, in which it seals what it does, before the Graph at `url` or behind `transport`."""

    def __init__(
        self,
        tables: Store,
        *,
        url: str = "http://127.0.0.1:1",
        transport: httpx.AsyncBaseTransport | None = None,
        lease: float = 600,
    ) -> None:
        self.tables = tables
        self._time = VirtualClock()
        self._queues = MemoryQueues(self._time)
        clock = SystemClock()
        secrets = _OneSecret()
        self.graph = Graph(
            Application(CLIENT, ClientSecret("graph")),
            secrets,
            clock,
            base_url=f"{url}/v1.0",
            authority=url,
            transport=transport,
        )

        keyring = TenantKeyring(tables, secrets)
        sealed = SealedTables(tables, keyring)

        async def purge(tenant: str, sync: str | None) -> None:
            await purge_caches(sealed, tenant, sync)

        self.context = Context(
            tables=sealed,
            queues=self._queues,
            blobs=MemoryBlobs(),
            graph=self.graph,
            keyring=keyring,
            clock=clock,
            installation="benchmark",
            lease=timedelta(seconds=lease),
            owner="worker",
            purge=purge,
        )

    async def make_tables(self) -> None:
        """Make every table, as an installation has them after its first day."""
        for table in (names.TENANTS, names.SYNCS, names.REPLICAS, names.RUNS, names.CHUNKS, names.POISON, *names.CACHES):
            await self.tables.commit(table, "benchmark", [Put("row", {"Some": "value"})])
            await self.tables.commit(table, "benchmark", [Remove("row")])

    async def connect(self, tenant: str = TENANT, **definition: Any) -> None:
        """Connect a tenant and define a sync that runs on request only."""
        await admin.connect_tenant(self.context, tenant, TenantSettings(default_country="DE"))
        await self.define(tenant, **definition)

    async def define(self, tenant: str = TENANT, **definition: Any) -> None:
        """Define the sync, or change its definition."""
        values = {"name": "People", "folder": "Colleagues", "schedule": {"kind": "manual"}, **definition}
        await admin.define_sync(self.context, tenant, SYNC, SyncDefinition.model_validate(values))

    async def night(self, tenant: str = TENANT, *, check: Check = Check.DUE) -> Run:
        """One run from its start to its end."""
        run = await runs.request_run(self.context, tenant, SYNC, check=check, by_hand=True)
        await self._settle()
        return await load_run(self.context.tables, tenant, run)

    async def finish(self, run: str) -> Run:
        """Go on with a run that another process has begun."""
        started = await load_run(self.context.tables, TENANT, run)
        await runs.send_start(self.context, started)
        await self._settle()
        return await load_run(self.context.tables, TENANT, run)

    async def close(self) -> None:
        """Close every connection."""
        await self.graph.close()
        if isinstance(self.tables, AzureTables):
            await self.tables.close()

    async def _settle(self) -> None:
        """Deliver several messages at a time, until none is left; delayed ones come as soon as there is nothing else to do."""
        working: set[asyncio.Task[None]] = set()
        while True:
            while len(working) < MESSAGES_AT_A_TIME and (delivery := self._queues.receive()) is not None:
                working.add(asyncio.create_task(self._deliver(delivery)))
            if working:
                done, working = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            elif (upcoming := self._queues.next_at()) is not None:
                self._time.advance(max(upcoming - self._time.now(), timedelta()))
            else:
                return

    async def _deliver(self, delivery: Delivery) -> None:
        kind, step = _STEPS[delivery.queue]
        await step(self.context, messages.parse(kind, delivery.body))  # type: ignore[operator] # each step takes its own kind
