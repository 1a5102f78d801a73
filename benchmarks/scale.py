"""Large tenants: nights without a change, a change in many mailboxes, a mailbox with many contacts."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.engine import canned
from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step
from cloud.tables import AzureTables

if TYPE_CHECKING:
    from benchmarks.installation import Installation
    from local.memory import MemoryTables

LARGEST = 100_000
QUIET = (50, 500, 5_000, LARGEST)
CHANGED = (50, 500, 5_000)
CHANGED_PEOPLE = 20
CONTACTS = 100_000
WORKING_SHARE = 0.3
"""Of the time that planning took: a delivery works no longer, so that the mailbox goes through several of them."""


def measure(step: Step) -> dict[str, Any]:
    """Each in processes of its own, on Azurite and the canned Graph."""
    quiet = [_quiet(step, size) for size in QUIET]
    changed = [_changed(step, size) for size in CHANGED]
    step.say(f"{CONTACTS:,} contacts into one mailbox")
    contacts = _many_contacts()
    limits = {5_000: (10.0, 300), LARGEST: (60.0, 400)}
    for night in quiet:
        if night["mailboxes"] in limits:
            seconds, memory = limits[night["mailboxes"]]
            night["seconds"] = {"value": night["seconds"], "atMost": seconds}
            night["peakMB"] = {"value": night["peakMB"], "atMost": memory}
    growth = changed[-1]["cpuMsPerMailbox"] / changed[0]["cpuMsPerMailbox"]
    return {
        "quiet": quiet,
        "changed": changed,
        "changedGrowth": {"value": round(growth, 2), "atMost": 1.25},
        "contacts": contacts,
    }


def _quiet(step: Step, size: int) -> dict[str, Any]:
    from local.azurite import Azurite

    with tempfile.TemporaryDirectory(prefix="rollcall-") as folder, canned(size, size) as url:
        step.say(f"{size:,} mailboxes: preparing")
        isolated("benchmarks.scale:settle", url=url, folder=folder)
        with Azurite(Path(folder)) as storage:
            step.say(f"{size:,} mailboxes: a quiet night")
            night = isolated("benchmarks.scale:quiet_night", url=url, storage=storage.connection_string)
    return {
        "mailboxes": size,
        "people": size,
        "seconds": round(night["seconds"], 2),
        "peakMB": round(night["peakMB"]),
        "cpuMsPerMailbox": round(night["cpuSeconds"] * 1000 / size, 3),
        "storage": night["storage"],
    }


def _changed(step: Step, mailboxes: int) -> dict[str, Any]:
    step.say(f"{mailboxes:,} mailboxes: a changed night")
    with canned(CHANGED_PEOPLE, mailboxes) as url:
        night = isolated("benchmarks.scale:changed_night", url=url)
    return {
        "mailboxes": mailboxes,
        "people": CHANGED_PEOPLE,
        "seconds": round(night["seconds"], 2),
        "cpuMsPerMailbox": round(night["cpuSeconds"] * 1000 / mailboxes, 3),
        "storage": night["storage"],
    }


def _installation(url: str, storage: str) -> Installation[AzureTables]:
    from benchmarks.installation import Installation

    return Installation(AzureTables(connection_string=storage), url=url)


async def plan(url: str, storage: str) -> dict[str, Any]:
    """The start of the first run: everything is read, mapped, stored, registered and cut into chunks."""
    house = _installation(url, storage)
    await house.make_tables()
    await house.connect()
    taken: dict[str, Any] = dict((await _planned(house))[1])
    await house.close()
    return taken


async def _planned(house: Installation[Any]) -> tuple[str, dict[str, float]]:
    from benchmarks.installation import SYNC, TENANT
    from sync_core.engine import runs, start
    from sync_core.messages import SyncStart

    run = await runs.request_run(house.context, TENANT, SYNC)
    watch = Watch.start()
    await start.start_run(house.context, SyncStart(TENANT, SYNC, run))
    return run, watch.read()


async def settle(url: str, folder: str) -> dict[str, Any]:
    """Make a data folder of storage as a first run would have left it, without writing to the mailboxes."""
    from benchmarks.installation import Installation
    from benchmarks.seeding import lay_down
    from local.memory import MemoryTables
    from sync_core.state import names

    house = Installation(MemoryTables(), url=url)
    await _settled(house)
    kept = (names.TENANTS, names.SYNCS, names.REPLICAS, names.RUNS, names.CHUNKS, *names.CACHES)
    await lay_down(house.tables, kept, Path(folder))
    await house.close()
    return {}


async def _settled(house: Installation[MemoryTables], *, ledgers: bool = False) -> None:
    from benchmarks.installation import SYNC, TENANT
    from sync_core.engine import runs
    from sync_core.model import Held, RunState
    from sync_core.state import replicas as register
    from sync_core.state.ledgers import Ledger, LedgerStore
    from sync_core.state.runs import load_run
    from sync_core.state.snapshots import SnapshotStore

    await house.connect()
    planned, _ = await _planned(house)
    await runs.end_run(house.context, await load_run(house.context.tables, TENANT, planned), RunState.SUCCEEDED)
    keys = await house.context.keyring.keys(TENANT)
    snapshots = SnapshotStore(house.tables, keys.sealer, TENANT, SYNC)
    head = await snapshots.head()
    assert head is not None
    now = house.context.now()
    served = [replica async for replica in register.all_replicas(house.tables, TENANT, SYNC)]
    for replica in served:
        replica.folder_id, replica.applied, replica.due = "folder", head.digest, now + timedelta(hours=20)
    await register.save_replicas(house.tables, TENANT, SYNC, served)
    if not ledgers:
        return
    store = LedgerStore(house.tables, keys.sealer, TENANT, SYNC)
    held: dict[str, Held] = {}
    for number in range(len(head.digests)):
        page = await snapshots.page(head, number)
        held |= {key: Held(f"{key:_<152}", item.fingerprint) for key, item in page.items()}
    for replica in served:
        ledger = Ledger.of(held, len(head.digests), folder_id="folder", now=now)
        ledger.head.digests = list(head.digests)
        await store.save(replica.mailbox, ledger)


async def quiet_night(url: str, storage: str) -> dict[str, Any]:
    """A night on which nothing has changed."""
    return await _night(_installation(url, storage), updated_per_mailbox=0)


async def changed_night(url: str) -> dict[str, Any]:
    """A night on which one person has another title, in a worker that has seen a quiet one before.

    Storage is in memory: the emulator looks through a whole partition for every row it is asked for, which would be measured.
    """
    import httpx

    from benchmarks.installation import Installation
    from local.memory import MemoryTables

    house = Installation(MemoryTables(), url=url)
    await _settled(house, ledgers=True)
    await house.night()
    async with httpx.AsyncClient() as client:
        await client.get(f"{url}/change")
    return await _night(house, updated_per_mailbox=1)


async def _night(house: Installation[Any], *, updated_per_mailbox: int) -> dict[str, Any]:
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
        taken = isolated("benchmarks.scale:fill", seconds=WORKING_SHARE * planning["seconds"], **arguments)
    return {
        "contacts": CONTACTS,
        "deliveries": taken["parts"],
        "seconds": round(taken["seconds"], 1),
        "peakMB": {"value": round(taken["peakMB"]), "atMost": 500},
        "planning": {"seconds": round(planning["seconds"], 1), "peakMB": round(planning["peakMB"])},
    }


async def fill(url: str, storage: str, seconds: float) -> dict[str, Any]:
    """Go on with the planned run to its end."""
    from benchmarks.installation import SYNC, TENANT
    from sync_core.engine import chunk as engine
    from sync_core.state.runs import load_chunk
    from sync_core.state.syncs import load_sync

    setattr(engine, "WORKING_TIME", timedelta(seconds=seconds))  # noqa: B010 - it is no part of what the module offers
    house = _installation(url, storage)
    planned = (await load_sync(house.context.tables, TENANT, SYNC)).active_run
    watch = Watch.start()
    run = await house.finish(planned)
    taken: dict[str, Any] = dict(watch.read())
    assert (run.state, run.counts.created) == ("succeeded", CONTACTS), run
    chunk = await load_chunk(house.context.tables, run, 0)
    assert chunk is not None
    await house.close()
    return {**taken, "parts": chunk.part + 1}
