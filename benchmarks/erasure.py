"""Erasing one person from 1,000 mailboxes of 1,000 contacts: CPU time, requests, and the time at a given speed of Graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from benchmarks.people import directory, person_id
from benchmarks.progress import Step
from gdpr.audit_chain import SYSTEM
from gdpr.encryption import TenantKeyring
from gdpr.privacy_queue import start_request, take_steps
from gdpr.requests import RequestKind, RequestState, confirm, identifiers_of, load_request, make_request
from gdpr.retention import purge_caches
from local.clock import VirtualClock
from local.memory import MemoryBlobs, MemoryQueues, MemoryTables
from sync_core import buckets, messages
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.directory import merge
from sync_core.engine import admin
from sync_core.engine.context import Context
from sync_core.model import Held, Item, Operation, Outcome, Replica, SeenItem, Spent
from sync_core.ports import Mailboxes, MicrosoftGraph, Secrets
from sync_core.state import replicas as register
from sync_core.state.ledgers import Ledger, LedgerStore
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import USERS, SourceHead, SourceStore

PEOPLE = MAILBOXES = 1000
ROUND_TRIP = 0.5
"""Seconds that twenty mailboxes' shared HTTP call takes, modelled."""

MOST_REQUESTS = 2.0
TENANT, SYNC = "11111111-2222-4333-8444-555555555555", "people"


def measure(step: Step) -> dict[str, Any]:
    """Lay down the caches of a tenant, and erase one person."""
    step.say(f"laying down {MAILBOXES} ledgers")
    return asyncio.run(_measure(step))


class _Graph:
    """Answers as if every delete were carried out and every look found nothing. Mailboxes of a group answer together."""

    def __init__(self, clock: VirtualClock) -> None:
        self.spent = Spent()
        self._clock = clock

    def mailboxes(self, _tenant: str) -> Mailboxes:
        self.spent = Spent()
        return cast("Mailboxes", self)

    def sharing(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def write(self, _mailbox: str, _folder_id: str, operations: Sequence[Operation]) -> list[Outcome]:
        return [Outcome() for _ in range(await self._answered(len(operations)))]

    async def look(self, _mailbox: str, item_ids: Sequence[str]) -> list[SeenItem | None]:
        return [None] * await self._answered(len(item_ids))

    async def _answered(self, requests: int) -> int:
        self.spent.requests += requests
        await self._clock.sleep(ROUND_TRIP)
        return requests


class _Secret:
    async def get(self, _name: str) -> bytes:
        return b"s" * 31 + b"\xff"


async def _measure(step: Step) -> dict[str, Any]:
    tables, clock = MemoryTables(), VirtualClock(datetime(2026, 11, 2, tzinfo=UTC))
    queues = MemoryQueues(clock)

    async def purge(tenant: str, sync: str | None) -> None:
        await purge_caches(tables, tenant, sync)

    context = Context(
        tables=tables,
        queues=queues,
        blobs=MemoryBlobs(),
        graph=cast("MicrosoftGraph", _Graph(clock)),
        keyring=TenantKeyring(tables, cast("Secrets", _Secret())),
        clock=clock,
        installation="benchmark",
        lease=timedelta(seconds=600),
        owner="worker",
        purge=purge,
    )
    await _lay_down(context)
    step.say("erasing")
    identifiers = identifiers_of(object_ids=(person_id(7),))
    request = await make_request(context, TENANT, RequestKind.ERASURE, identifiers, by=SYSTEM)
    request = await confirm(context, TENANT, request.request, by=SYSTEM, keys=[f"u:{person_id(7)}"])
    await start_request(context, request)
    began, cpu = clock.now(), time.process_time()
    deliveries = 0
    while (upcoming := queues.next_at()) is not None:
        if upcoming > clock.now():
            clock.advance(upcoming - clock.now())
        delivery = queues.receive()
        assert delivery is not None
        await take_steps(context, messages.parse(messages.PrivacyStep, delivery.body))
        deliveries += 1
    cpu = time.process_time() - cpu
    request = await load_request(context, TENANT, request.request)
    assert request.state is RequestState.DONE
    assert request.counts["mailboxes"] == MAILBOXES
    return {
        "people": PEOPLE,
        "mailboxes": MAILBOXES,
        "requestsPerMailbox": {"value": request.counts["requests"] / MAILBOXES, "atMost": MOST_REQUESTS},
        "cpuSeconds": round(cpu, 1),
        "cpuMillisecondsPerMailbox": round(cpu * 1000 / MAILBOXES, 1),
        "deliveries": deliveries,
        "modelledRoundTripSeconds": ROUND_TRIP,
        "modelledSeconds": round((clock.now() - began).total_seconds()),
    }


async def _lay_down(context: Context) -> None:
    """What a tenant's tables hold after a run: source, snapshot, replicas, ledgers."""
    tables, now = context.tables, context.now()
    await admin.connect_tenant(context, TENANT, TenantSettings())
    definition = SyncDefinition.model_validate({"name": "People", "folder": "Colleagues", "schedule": {"kind": "manual"}})
    await admin.define_sync(context, TENANT, SYNC, definition)
    keys = await context.keyring.keys(TENANT)
    users = {user["id"]: merge(None, user) for user in directory(PEOPLE, MAILBOXES)}
    count = buckets.bucket_count(PEOPLE, None)
    source = SourceStore(tables, keys, TENANT, USERS)
    pages = await source.write_all("g", {key: orjson.dumps(user) for key, user in users.items()}, count, read_at=now)
    await source.flip(SourceHead(pages, PEOPLE, now, "link", "asked"), "")
    spread: dict[int, dict[str, Item]] = {number: {} for number in range(count)}
    for key, user in users.items():
        body = {"displayName": user["displayName"], "emailAddresses": [{"address": user["mail"]}]}
        item = Item(f"u:{key}", "abc.1." + "f" * 60, orjson.dumps(body))
        spread[buckets.bucket_of(item.key, count)][item.key] = item
    snapshots = SnapshotStore(tables, keys.sealer, TENANT, SYNC)
    head = await snapshots.write(
        "g", spread, count=PEOPLE, made_from="x", owned=definition.fields.owned, read_at=now, previous_etag=""
    )
    ledgers = LedgerStore(tables, keys.sealer, TENANT, SYNC)
    for number in range(MAILBOXES):
        mailbox = person_id(number)
        replica = Replica(mailbox, folder_id="folder", folder_name="Colleagues", applied=head.digest, due=now)
        await register.insert_replicas(tables, TENANT, SYNC, [replica])
        held = {key: Held("AAkALg" + "x" * 120, item.fingerprint) for page in spread.values() for key, item in page.items()}
        ledger = Ledger.of(held, count, folder_id="folder", now=now)
        ledger.head.digests = list(head.digests)
        await ledgers.save(mailbox, ledger)
