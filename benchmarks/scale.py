"""Large tenants: nights without a change, a change in many mailboxes, a mailbox with many contacts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.engine import canned
from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step
from cloud.tables import AzureTables
from sync_core.ports import Entity, Write
from sync_core.state.names import REPLICAS

if TYPE_CHECKING:
    from benchmarks.installation import Installation

QUIET = (50, 500, 5_000)
LARGEST = 100_000
CHANGED = (50, 500, 5_000)
CHANGED_PEOPLE = 20
CONTACTS = 100_000
LEASE = 15.0
"""Seconds: a worker gives the mailbox back after 60 % of it, so that the work goes through several deliveries."""


def measure(step: Step) -> dict[str, Any]:
    """Each in processes of its own, on Azurite and the canned Graph."""
    quiet = [_nights(step, "quiet", size, size) for size in QUIET]
    changed = [_nights(step, "changed", CHANGED_PEOPLE, size) for size in CHANGED]
    largest = _nights(step, "quiet", LARGEST, LARGEST)
    step.say(f"{CONTACTS:,} contacts into one mailbox")
    contacts = _many_contacts()
    limits = {5_000: (10.0, 300), LARGEST: (60.0, 400)}
    for night in (*quiet, largest):
        if night["mailboxes"] in limits:
            seconds, memory = limits[night["mailboxes"]]
            night["seconds"] = {"value": night["seconds"], "atMost": seconds}
            night["peakMB"] = {"value": night["peakMB"], "atMost": memory}
    growth = changed[-1]["cpuMsPerMailbox"] / changed[0]["cpuMsPerMailbox"]
    return {
        "quiet": [*quiet, largest],
        "changed": changed,
        "changedGrowth": {"value": round(growth, 2), "atMost": 1.25},
        "contacts": contacts,
    }


def _nights(step: Step, kind: str, people: int, mailboxes: int) -> dict[str, Any]:
    from local.azurite import Azurite

    with Azurite() as storage, canned(people, mailboxes) as url:
        arguments: dict[str, Any] = {"url": url, "storage": storage.connection_string}
        step.say(f"{mailboxes:,} mailboxes: preparing")
        isolated("benchmarks.scale:settle", mailboxes=mailboxes, ledgers=kind == "changed", **arguments)
        step.say(f"{mailboxes:,} mailboxes: a {kind} night")
        night = isolated(f"benchmarks.scale:{kind}_night", **arguments)
    return {
        "mailboxes": mailboxes,
        "people": people,
        "seconds": round(night["seconds"], 2),
        "peakMB": round(night["peakMB"]),
        "cpuMsPerMailbox": round(night["cpuSeconds"] * 1000 / mailboxes, 3),
        "storage": night["storage"],
    }


class _Unregistered(AzureTables):
    """Tables whose register of replicas is empty and stays so."""

    async def query(self, table: str, *place: Any, **options: Any) -> AsyncIterator[Entity]:
        if table != REPLICAS:
            async for entity in super().query(table, *place, **options):
                yield entity

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        return [""] * len(writes) if table == REPLICAS else await super().commit(table, partition, writes)


def _installation(url: str, storage: str, *, lease: float = 600) -> Installation:
    from benchmarks.installation import Installation

    return Installation(AzureTables(connection_string=storage), url=url, lease=lease)


async def plan(url: str, storage: str, *, unregistered: bool = False) -> dict[str, Any]:
    """The start of the first run: everything is read, mapped, stored, registered (or not) and cut into chunks."""
    from benchmarks.installation import SYNC, TENANT, Installation
    from sync_core.engine import runs, start
    from sync_core.messages import SyncStart

    tables = (_Unregistered if unregistered else AzureTables)(connection_string=storage)
    house = Installation(tables, url=url)
    await house.make_tables()
    await house.connect()
    run = await runs.request_run(house.context, TENANT, SYNC)
    watch = Watch.start()
    await start.start_run(house.context, SyncStart(TENANT, SYNC, run))
    taken = watch.read()
    await house.close()
    return taken


async def settle(url: str, storage: str, mailboxes: int, ledgers: bool) -> dict[str, Any]:
    """Bring storage to where a first run would have left it, without writing to the mailboxes."""
    from benchmarks.installation import SYNC, TENANT
    from benchmarks.people import person_id
    from sync_core.engine import runs
    from sync_core.model import Held, Replica, RunState
    from sync_core.state import replicas as register
    from sync_core.state.ledgers import Ledger, LedgerStore
    from sync_core.state.runs import load_run
    from sync_core.state.snapshots import SnapshotStore
    from sync_core.state.syncs import load_sync

    house = _installation(url, storage)
    await plan(url, storage, unregistered=True)
    keys = await house.context.keyring.keys(TENANT)
    snapshots = SnapshotStore(house.tables, keys.sealer, TENANT, SYNC)
    head = await snapshots.head()
    sync = await load_sync(house.tables, TENANT, SYNC)
    assert head is not None
    await runs.end_run(house.context, await load_run(house.tables, TENANT, sync.active_run), RunState.SUCCEEDED)
    now = house.context.now()
    tomorrow = now + timedelta(hours=20)
    ids = sorted(person_id(number) for number in range(mailboxes))
    done = [Replica(mailbox, folder_id="folder", folder_name="Colleagues", applied=head.digest, due=tomorrow) for mailbox in ids]
    await register.insert_replicas(house.tables, TENANT, SYNC, done)
    if ledgers:
        store = LedgerStore(house.tables, keys.sealer, TENANT, SYNC)
        held: dict[str, Held] = {}
        for number in range(len(head.digests)):
            page = await snapshots.page(head, number)
            held |= {key: Held(f"{key:_<152}", item.fingerprint) for key, item in page.items()}
        for mailbox in ids:
            ledger = Ledger.of(held, len(head.digests), folder_id="folder", now=now)
            ledger.head.digests = list(head.digests)
            await store.save(mailbox, ledger)
    await house.close()
    return {}


async def quiet_night(url: str, storage: str) -> dict[str, Any]:
    """A night on which nothing has changed."""
    return await _night(_installation(url, storage), updated_per_mailbox=0)


async def changed_night(url: str, storage: str) -> dict[str, Any]:
    """A night on which one person has another title, in a worker that has seen a quiet one before."""
    import httpx

    house = _installation(url, storage)
    await house.night()
    async with httpx.AsyncClient() as client:
        await client.get(f"{url}/change")
    return await _night(house, updated_per_mailbox=1)


async def _night(house: Installation, *, updated_per_mailbox: int) -> dict[str, Any]:
    house.tables.transactions.clear()
    watch = Watch.start()
    run = await house.night()
    taken: dict[str, Any] = dict(watch.read())
    wanted = run.targets * updated_per_mailbox
    assert (run.state, run.counts.updated, run.counts.created) == ("succeeded", wanted, 0), run
    assert run.spent.requests == wanted + 1, run
    storage = sum(house.tables.transactions.values())
    await house.close()
    return {**taken, "storage": storage}


def _many_contacts() -> dict[str, Any]:
    from local.azurite import Azurite

    with Azurite() as storage, canned(CONTACTS, 1) as url:
        arguments = {"url": url, "storage": storage.connection_string}
        planning = isolated("benchmarks.scale:plan", **arguments)
        taken = isolated("benchmarks.scale:fill", **arguments)
    return {
        "contacts": CONTACTS,
        "deliveries": taken["parts"],
        "seconds": round(taken["seconds"], 1),
        "peakMB": {"value": round(max(planning["peakMB"], taken["peakMB"])), "atMost": 500},
        "planning": {"seconds": round(planning["seconds"], 1), "peakMB": round(planning["peakMB"])},
    }


async def fill(url: str, storage: str) -> dict[str, Any]:
    """Go on with the planned run to its end."""
    from benchmarks.installation import SYNC, TENANT
    from sync_core.state.runs import load_chunk
    from sync_core.state.syncs import load_sync

    house = _installation(url, storage, lease=LEASE)
    planned = (await load_sync(house.tables, TENANT, SYNC)).active_run
    watch = Watch.start()
    run = await house.finish(planned)
    taken: dict[str, Any] = dict(watch.read())
    assert (run.state, run.counts.created) == ("succeeded", CONTACTS), run
    chunk = await load_chunk(house.tables, run, 0)
    assert chunk is not None
    await house.close()
    return {**taken, "parts": chunk.part + 1}
