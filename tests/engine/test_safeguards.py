"""What keeps a sync from doing harm: brakes, lost pages, ages, claims and late looks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core.engine import runs
from sync_core.errors import LostPagesError, Reason
from sync_core.messages import SyncChunk, as_dict
from sync_core.model import Replica, RunState
from sync_core.ports import Put, Remove, Write
from sync_core.state.ledgers import LedgerStore
from sync_core.state.names import CACHES, LEDGERS, READ_AT, SNAPSHOTS, SOURCES, partition
from sync_core.state.replicas import all_replicas, save_replicas
from sync_core.state.runs import Check, load_run
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import SourceStore
from tests.engine.world import NIGHTLY, SYNC, TENANT, World, deliver

NIGHT = timedelta(days=1)
CREATE = "POST /users/{id}/contactfolders/{id}/contacts"
BRAKES = {"brakes": {"percent": 20, "at_least": 2}}


async def synced(people: int = 3, definition: dict[str, Any] | None = None, *, mailboxes: int | None = None) -> World:
    """A world the night after its first sync."""
    world = World()
    world.hire_many(people, mailboxes=mailboxes)
    await world.connect(definition)
    assert (await world.run()).state is RunState.SUCCEEDED
    world.clock.advance(NIGHT)
    return world


def staff(world: World) -> list[str]:
    return list(world.tenant.directory.users.objects)


# --- brakes --------------------------------------------------------------------------------------------------------------


async def test_a_source_that_shrinks_suddenly_deletes_nothing_until_it_is_released() -> None:
    world = await synced(6, BRAKES, mailboxes=1)
    mailbox, *others = staff(world)
    for user in others[:3]:
        world.tenant.remove_user(user)
    for night in range(4):
        run = await world.run()
        assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_DROPPED)
        assert len(world.ours(mailbox)) == 6
        if night == 2:
            await world.context.purge(TENANT, None)
        world.clock.advance(NIGHT)
    follow = await runs.release(world.context, TENANT, run.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, follow)).state is RunState.SUCCEEDED
    assert len(world.ours(mailbox)) == 3


async def test_a_release_counts_once() -> None:
    world = await synced(8, BRAKES, mailboxes=1)
    mailbox, *others = staff(world)
    for user in others[:3]:
        world.tenant.remove_user(user)
    held = await world.run()
    await runs.release(world.context, TENANT, held.run)
    await world.settle()
    assert len(world.ours(mailbox)) == 5
    for user in others[3:5]:
        world.tenant.remove_user(user)
    world.clock.advance(NIGHT)
    assert (await world.run()).state is RunState.HELD
    assert len(world.ours(mailbox)) == 5


def replace_staff(world: World, leavers: list[str], name: str) -> None:
    """As many join as leave: the source does not shrink, but every mailbox loses contacts."""
    for number, user in enumerate(leavers):
        world.tenant.remove_user(user)
        world.hire(f"{name} Number{number}", mailbox="none")


async def test_a_mailbox_s_own_brake_holds_its_deletions_until_they_are_released_once() -> None:
    world = await synced(8, BRAKES, mailboxes=2)
    mailbox, _, *others = staff(world)
    replace_staff(world, others[:3], "Second")
    run = await world.run()
    result = (await world.results(run))[mailbox]
    assert (run.state, result.outcome, result.reason) == (RunState.PARTIAL, "held", Reason.DELETIONS_HELD)
    assert {f"u:{user}" for user in others} <= world.ours(mailbox).keys()

    follow = await runs.release(world.context, TENANT, run.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, follow)).counts.deleted == 6
    assert world.ours(mailbox).keys() == {f"u:{user}" for user in staff(world)}

    world.clock.advance(NIGHT)
    replace_staff(world, others[3:6], "Third")
    run = await world.run()
    assert (await world.results(run))[mailbox].outcome == "held"
    assert {f"u:{user}" for user in others[3:6]} <= world.ours(mailbox).keys()


# --- lost pages ----------------------------------------------------------------------------------------------------------


async def drop_pages(world: World, table: str, source: str) -> int:
    """Lose everything in a partition but the heads."""
    lost: list[Write] = []
    async for entity in world.tables.query(table, source):
        if table == LEDGERS:
            lost.append(Put(entity.row, {name: value for name, value in entity.values.items() if "Bucket" not in name}))
        elif not entity.row.endswith("head"):
            lost.append(Remove(entity.row))
    await world.tables.commit(table, source, lost)
    return len(lost)


@pytest.mark.parametrize("table", CACHES)
@pytest.mark.parametrize("changed", [False, True])
async def test_a_cache_that_lost_its_pages_is_lost_not_empty(table: str, changed: bool) -> None:
    world = await synced(4)
    mailbox = staff(world)[0]
    assert await drop_pages(world, table, partition(TENANT, "users" if table == SOURCES else SYNC))
    if changed:
        world.hire("New Colleague")
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    assert run.counts.deleted == 0
    for mailbox in staff(world):
        ours = world.ours(mailbox)
        assert ours.keys() == {f"u:{user}" for user in staff(world)}
        assert {len(items) for items in ours.values()} == {1}


async def test_pages_that_go_after_the_head_was_read_are_missed() -> None:
    world = await synced(4)
    keys = await world.context.keyring.keys(TENANT)
    sources = SourceStore(world.tables, keys, TENANT, "users")
    snapshots = SnapshotStore(world.tables, keys.sealer, TENANT, SYNC)
    ledgers = LedgerStore(world.tables, keys.sealer, TENANT, SYNC)
    mailbox = staff(world)[0]
    source, snapshot, ledger = await sources.head(), await snapshots.head(), await ledgers.open(mailbox)
    assert source
    assert snapshot
    assert ledger
    await drop_pages(world, SOURCES, partition(TENANT, "users"))
    await drop_pages(world, SNAPSHOTS, partition(TENANT, SYNC))
    await drop_pages(world, LEDGERS, partition(TENANT, SYNC))
    with pytest.raises(LostPagesError):
        await sources.page(source, 0)
    with pytest.raises(LostPagesError):
        _ = [entry async for entry in sources.objects(source)]
    with pytest.raises(LostPagesError):
        await snapshots.page(snapshot, 0)
    with pytest.raises(LostPagesError):
        await ledgers.load(mailbox, ledger)
    assert await sources.head() is None
    assert await snapshots.head() is None


# --- ages ----------------------------------------------------------------------------------------------------------------


async def ages(world: World, table: str) -> set[datetime]:
    return {
        value async for entity in world.tables.scan(table) for value in [entity.values[READ_AT]] if isinstance(value, datetime)
    }


async def test_writing_a_page_anew_does_not_make_its_content_younger() -> None:
    world = World()
    people = world.hire_many(4)
    await world.connect()
    begun = world.clock.now()
    await world.run()
    first = {table: await ages(world, table) for table in CACHES}
    assert all(max(found) - begun < timedelta(minutes=1) for found in first.values())
    for night in range(6):
        world.clock.advance(NIGHT)
        world.tenant.change_user(people[0], {"department": f"Department {night}"})
        if night == 3:
            world.hire("New Colleague", mailbox="none")
        assert (await world.run()).counts.updated == 4
    for table in CACHES:
        assert max(await ages(world, table)) - begun < timedelta(minutes=1), table
    for _ in range(3):  # once a week the folder is looked at, but not what is in it; sources are read in full
        world.clock.advance(NIGHT)
        await world.run()
    assert world.cloud.counters.templates["GET /users/{id}/contactfolders/{id}"] > 0
    assert max(await ages(world, LEDGERS)) - begun < timedelta(minutes=1)
    assert max(await ages(world, SOURCES)) - begun > timedelta(days=6)


async def test_nothing_read_over_sixty_days_ago_is_held() -> None:
    world = World()
    world.hire_many(3)
    await world.connect()
    spent: list[int] = []
    for _ in range(61):
        before = world.cloud.counters.requests
        assert (await world.run()).state is RunState.SUCCEEDED
        spent.append(world.cloud.counters.requests - before)
        world.clock.advance(NIGHT)
    oldest = min([age for table in CACHES for age in await ages(world, table)])
    assert world.clock.now() - oldest < timedelta(days=60)
    templates = world.cloud.counters.templates
    listings = templates["GET /users/{id}/contactfolders/{id}/contacts"]
    assert listings >= 3, "every mailbox was listed anew at least once"


# --- claims --------------------------------------------------------------------------------------------------------------


async def test_a_worker_whose_claim_ran_out_writes_no_more() -> None:
    world = World()
    world.hire_many(50, mailboxes=1)
    await world.connect()
    mailbox = staff(world)[0]
    # one answer takes longer than the claim lasts
    world.cloud.faults.add(Fault(FaultKind.LATENCY, delay=700, times=1, method="POST", template=CREATE.removeprefix("POST ")))
    run_id = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    for _ in range(2):
        upcoming = world.queues.next_at()
        assert upcoming
        world.clock.advance(max(upcoming - world.clock.now(), timedelta()))
        delivery = world.queues.receive()
        assert delivery
        await deliver(world.context, delivery)
    assert len(world.ours(mailbox)) == 20, "one batch, and nothing after the claim ran out"
    (replica,) = [replica async for replica in all_replicas(world.tables, TENANT, SYNC)]
    assert replica.dirty
    await world.settle()
    assert (await load_run(world.tables, TENANT, run_id)).state.final
    world.clock.advance(NIGHT)
    await world.run()
    assert {len(items) for items in world.ours(mailbox).values()} == {1}
    assert len(world.ours(mailbox)) == 50


async def test_what_another_worker_has_claimed_is_left_alone_until_the_claim_ends() -> None:
    world = await synced(3)
    mailboxes = staff(world)
    world.hire("New Colleague", mailbox="none")
    ends = world.clock.now() + timedelta(minutes=7)
    claimed = [replica async for replica in all_replicas(world.tables, TENANT, SYNC)]
    for replica in claimed:
        replica.owner, replica.owned_until = "another worker", ends
    await save_replicas(world.tables, TENANT, SYNC, claimed)
    run_id = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    while (upcoming := world.queues.next_at()) is not None and upcoming < ends:
        await world.settle(most=1)
        assert {len(world.ours(mailbox)) for mailbox in mailboxes} == {3}
    await world.settle()
    assert (await load_run(world.tables, TENANT, run_id)).state is RunState.SUCCEEDED
    assert {len(world.ours(mailbox)) for mailbox in mailboxes} == {4}


async def test_a_claim_marks_the_replica_dirty_before_anything_is_written() -> None:
    world = await synced(3)
    world.hire("New Colleague", mailbox="none")
    seen: list[Replica] = []

    async def look(when: str, operation: str, target: str) -> None:
        if operation == "commit" and target == LEDGERS and when == "before":
            world.tables.hook = quiet
            seen.extend([replica async for replica in all_replicas(world.tables, TENANT, SYNC)])

    quiet = world.tables.hook
    world.tables.hook = look
    await world.run()
    assert seen
    assert all(replica.dirty for replica in seen)


async def test_a_chunk_that_comes_again_is_served_once() -> None:
    world = World()
    world.hire_many(4)
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    other = world.worker("worker-two")
    for _ in range(3):
        await world.queues.send("sync-chunk", as_dict(SyncChunk(TENANT, SYNC, run, 0, 0)), delay=1)
    await world.settle(workers=[world.context, other])
    assert (await load_run(world.tables, TENANT, run)).counts.created == 16
    assert {len(items) for mailbox in staff(world) for items in world.ours(mailbox).values()} == {1}


async def planned(people: int) -> tuple[World, str]:
    """A run whose chunks are handed out and not yet served."""
    world = World()
    world.hire_many(people)
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    start = world.queues.receive("sync-start")
    assert start
    await deliver(world.context, start)
    return world, run


async def test_a_chunk_in_two_hands_at_once_is_served_by_one() -> None:
    world, run = await planned(4)
    chunk = world.queues.receive("sync-chunk")
    assert chunk
    await asyncio.gather(*(deliver(worker, chunk) for worker in (world.context, world.worker("worker-two"))))
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).outcomes == {"done": 4}
    assert world.cloud.counters.templates[CREATE] == 16
    assert {len(items) for mailbox in staff(world) for items in world.ours(mailbox).values()} == {1}


async def test_a_run_is_closed_only_when_every_chunk_is_done() -> None:
    world, run = await planned(45)
    chunk = world.queues.receive("sync-chunk")
    assert chunk
    await deliver(world.context, chunk)
    world.clock.advance(timedelta(seconds=5))
    check = world.queues.receive("run-check")
    assert check
    await deliver(world.context, check)
    assert (await load_run(world.tables, TENANT, run)).state is RunState.RUNNING
    await world.settle()
    ended = await load_run(world.tables, TENANT, run)
    assert (ended.state, ended.outcomes, ended.counts.created) == (RunState.SUCCEEDED, {"done": 45}, 45 * 45)


# --- late answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.LATE])
@pytest.mark.parametrize("method", ["POST"])
async def test_a_create_whose_answer_was_lost_leaves_one_contact(kind: FaultKind, method: str) -> None:
    world = await synced(3, {"schedule": NIGHTLY})
    world.hire("New Colleague", mailbox="none")
    world.cloud.faults.add(Fault(kind, times=2, method=method, path="/contacts$", delay=300, answer="504"))
    await world.run()
    world.clock.advance(timedelta(minutes=15))  # long before the next night
    await world.tick()
    await world.settle()
    for mailbox in staff(world)[:3]:
        ours = world.ours(mailbox)
        assert len(ours) == 4
        assert {len(items) for items in ours.values()} == {1}
    if kind is FaultKind.LOST:
        assert world.cloud.counters.templates[CREATE] == 9 + 3, "it was looked up first"


# --- what is not ours ----------------------------------------------------------------------------------------------------


async def test_removing_a_sync_leaves_the_user_s_own_contacts_and_the_folder_that_holds_them() -> None:
    world = await synced(3)
    mailbox = staff(world)[0]
    folder = world.tenant.folder(mailbox, "Colleagues")
    box = world.tenant.mailbox(mailbox)
    own = box.create(folder, {"displayName": "Aunt", "emailAddresses": [{"address": "person.number00001@example.com"}]}, {})
    await world.define({"targets": {"include": staff(world)[1:]}})
    await world.run()
    world.clock.advance(NIGHT)
    await world.run(check=Check.EVERYTHING)
    assert [contact.id for contact in world.tenant.live_contacts(mailbox)] == [own.id]
    assert world.names(mailbox) == ["Aunt"]


async def test_a_close_look_adopts_nothing_in_place_of_what_is_missing() -> None:
    world = await synced(3)
    mailbox = staff(world)[0]
    box, folder = world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Colleagues")
    gone = world.tenant.contacts(mailbox, "Colleagues")[0]
    own = box.create(folder, dict(gone.values), {})
    before = (own.id, dict(own.values), dict(own.extended))
    box.delete(gone)
    run = await world.run(check=Check.EVERYTHING)
    assert run.counts.created == 1
    assert (own.id, dict(own.values), dict(own.extended)) == before
    assert len(world.ours(mailbox)) == 3


# --- the directory -------------------------------------------------------------------------------------------------------


async def test_a_leaver_told_by_delta_goes() -> None:
    world = await synced(12, mailboxes=1)
    mailbox, leaver = staff(world)[:2]
    world.tenant.remove_user(leaver)
    run = await world.run()
    assert run.counts.deleted == 1
    assert f"u:{leaver}" not in world.ours(mailbox)
