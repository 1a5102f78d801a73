"""A whole installation in memory: the real engine and Graph adapter against the Microsoft 365 stand-in, on virtual time."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from cloud.graph.credentials import Application, ClientSecret
from cloud.graph.graph import Graph
from gdpr import privacy_queue
from gdpr import purge as gdpr_purge
from gdpr.encryption import TenantKeyring
from gdpr.retention import purge_caches
from gdpr.sealed_tables import SealedTables
from local.clock import VirtualClock
from local.m365.service import Microsoft365
from local.m365.tenant import App, Tenant
from local.m365.transport import Microsoft365Transport
from local.memory import Delivery, Hook, MemoryBlobs, MemoryQueues, MemoryTables
from sync_core import marks, messages
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine import admin, chunk, closing, poison, runs, schedule, start
from sync_core.engine.context import Context
from sync_core.errors import MessageError, NotFoundError
from sync_core.model import MailboxResult
from sync_core.state.runs import Check, Run, all_chunks, load_run, newest_runs

TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "99999999-8888-4777-8666-555555555555"
INSTALLATION = "installation-one"
SYNC = "people"
NIGHTLY = {"kind": "daily", "at": "01:00", "time_zone": "UTC", "spread_minutes": 0}
"""The schedule of syncs that run by themselves, on the minute at which worlds begin."""
START = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)

STEPS = {
    messages.SYNC_START: (messages.SyncStart, start.start_run),
    messages.SYNC_CHUNK: (messages.SyncChunk, chunk.run_chunk),
    messages.RUN_CHECK: (messages.RunCheck, closing.check_run),
    messages.PURGE_TENANT: (messages.PurgeTenant, gdpr_purge.purge_tenant),
    messages.PRIVACY_REQUESTS: (messages.PrivacyStep, privacy_queue.take_steps),
}


SECRET = b64encode(b"s" * 32)


class OneSecret:
    """A secret store in which every secret is the same."""

    async def get(self, name: str) -> bytes:
        return SECRET

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:
        return [SECRET]


class SealedMemory(SealedTables):
    """Tables in memory as the app has them, sealed where theirs are. What is stored is `beneath`, and so are hook and counts."""

    def __init__(self) -> None:
        self.stored = MemoryTables()
        super().__init__(self.stored, TenantKeyring(self.stored, OneSecret(), max_age=0))  # a rotation is seen at once

    @property
    def hook(self) -> Hook:
        """See MemoryTables."""
        return self.stored.hook

    @hook.setter
    def hook(self, hook: Hook) -> None:
        self.stored.hook = hook

    @property
    def transactions(self) -> Counter[tuple[str, str]]:
        """See MemoryTables."""
        return self.stored.transactions


class World:
    """One tenant, one installation."""

    def __init__(
        self,
        *,
        beside: World | None = None,
        installation: str = INSTALLATION,
        lease: float = 600,
        permanent_delete: bool = True,
    ) -> None:
        """A new tenant, or another installation `beside` one that serves the same tenant."""
        self.permanent_delete = permanent_delete
        self.clock: VirtualClock = beside.clock if beside else VirtualClock(START)
        self.cloud: Microsoft365 = beside.cloud if beside else Microsoft365(self.clock)
        self.tables = SealedMemory()
        self.queues = MemoryQueues(self.clock)
        self.blobs = MemoryBlobs()
        if TENANT in self.cloud.tenants:
            self.tenant: Tenant = self.cloud.tenant(TENANT)
        else:
            self.tenant = self.cloud.add_tenant(TENANT, "Example", App(CLIENT, SECRET.decode()))
        self.context = self.worker("worker-one", installation=installation, lease=lease)

    def network(self) -> httpx.AsyncBaseTransport:
        """A new process's connection to Microsoft 365."""
        return Microsoft365Transport(self.cloud)

    def worker(self, owner: str, *, installation: str = INSTALLATION, lease: float = 600) -> Context:
        """A process of its own: connections, key cache and name, over the same storage."""
        secrets = OneSecret()

        async def purge(tenant: str, sync: str | None) -> None:
            await purge_caches(self.tables, tenant, sync)

        keyring = TenantKeyring(self.tables.stored, secrets)
        return Context(
            tables=SealedTables(self.tables.stored, keyring),
            queues=self.queues,
            blobs=self.blobs,
            graph=Graph(
                Application(CLIENT, ClientSecret("graph")),
                secrets,
                self.clock,
                base_url="http://127.0.0.1:1/v1.0",
                authority="http://127.0.0.1:1",
                permanent_delete=self.permanent_delete,
                transport=self.network(),
            ),
            keyring=keyring,
            clock=self.clock,
            installation=installation,
            lease=timedelta(seconds=lease),
            owner=owner,
            purge=purge,
        )

    # --- directory -------------------------------------------------------------------------------------------------------

    def hire(self, name: str, *, mailbox: str = "ok", **values: Any) -> str:
        """A new employee; returns the id."""
        given, _, surname = name.partition(" ")
        upn = f"{name.lower().replace(' ', '.')}@example.com"
        person = {
            "displayName": name,
            "givenName": given,
            "surname": surname,
            "mail": upn,
            "userPrincipalName": upn,
            "proxyAddresses": [f"SMTP:{upn}"],
            "mobilePhone": "+49 151 23456789",
            "businessPhones": ["+49 30 1234567"],
            "department": "Sales",
            "usageLocation": "DE",
        }
        return self.tenant.add_user({**person, **values}, mailbox)

    def hire_many(self, count: int, *, mailboxes: int | None = None) -> list[str]:
        """So many employees, the first `mailboxes` of them (all by default) with a mailbox."""
        reachable = count if mailboxes is None else mailboxes
        return [
            self.hire(f"Person Number{number:05d}", **({} if number < reachable else {"mailbox": "none"}))
            for number in range(count)
        ]

    # --- runs ------------------------------------------------------------------------------------------------------------

    async def connect(self, definition: Mapping[str, Any] | None = None, *, sync: str = SYNC) -> None:
        """Connect the tenant and define a sync that runs on request only."""
        await admin.connect_tenant(self.context, TENANT, TenantSettings(default_country="DE"))
        await self.define(definition or {}, sync=sync)

    async def define(self, definition: Mapping[str, Any], *, sync: str = SYNC) -> None:
        """Create or replace a sync."""
        values = {"name": "People", "folder": "Colleagues", "schedule": {"kind": "manual"}, **definition}
        await admin.define_sync(self.context, TENANT, sync, SyncDefinition.model_validate(values))

    async def run(self, *, sync: str = SYNC, check: Check = Check.DUE) -> Run:
        """Start a run and drive everything until it has ended."""
        run = await runs.request_run(self.context, TENANT, sync, check=check, by_hand=True)
        await self.settle()
        return await load_run(self.tables, TENANT, run)

    async def settle(self, *, workers: Iterable[Context] | None = None, most: int | None = None) -> None:
        """Deliver messages, moving time on to the next one, until none is left or `most` were delivered."""
        crew = list(workers or [self.context])
        turn = 0
        while (upcoming := self.queues.next_at()) is not None and turn != most:
            if upcoming > self.clock.now():
                self.clock.advance(upcoming - self.clock.now())
            delivery = self.queues.receive()
            assert delivery is not None
            await deliver(crew[turn % len(crew)], delivery)
            turn += 1

    async def results(self, run: Run) -> dict[str, MailboxResult]:
        """What a run did, by mailbox."""
        return {result.mailbox: result async for piece in all_chunks(self.tables, run) for result in piece.results}

    async def last_run(self) -> Run:
        """The newest run."""
        async for run in newest_runs(self.tables, TENANT):
            return run
        raise NotFoundError("no run")

    async def tick(self) -> None:
        """The schedule's timer."""
        await schedule.schedule_syncs(self.context)

    # --- mailboxes ---------------------------------------------------------------------------------------------------------

    def ours(self, mailbox: str, *, installation: str = INSTALLATION, sync: str = SYNC) -> dict[str, list[Any]]:
        """Live contacts with our mark by key, wherever they lie."""
        found: dict[str, list[Any]] = {}
        for contact in self.tenant.live_contacts(mailbox):
            key = marks.key_in(contact.extended.get(marks.KEY_PROPERTY), installation, sync)
            if key is not None:
                found.setdefault(key, []).append(contact)
        return found

    def names(self, mailbox: str, folder: str = "Colleagues") -> list[str]:
        """Display names in a folder, sorted."""
        return sorted(str(contact.values.get("displayName")) for contact in self.tenant.contacts(mailbox, folder))


async def deliver(context: Context, delivery: Delivery) -> None:
    """One delivery of a queue message, as the app's triggers do it."""
    kind, step = STEPS[delivery.queue]
    try:
        message = messages.parse(kind, delivery.body)
    except MessageError:
        await poison.bury(context, delivery.queue, delivery.body)
        return
    await step(context, message)  # type: ignore[operator] # each step takes its own kind of message
