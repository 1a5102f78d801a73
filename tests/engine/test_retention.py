"""Caches are emptied by age, after every sync, or at any moment; what was read from Microsoft is never held over 60 days."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

import pytest

from gdpr.retention import purge_expired
from sync_core import messages
from sync_core.model import Counts, RunState
from sync_core.ports import Entity, Remove
from sync_core.state.names import CACHES, READ_AT
from sync_core.state.runs import Check
from tests.engine.world import NIGHTLY, SYNC, TENANT, World

NIGHT = timedelta(days=1)
LIMIT = timedelta(days=60)


async def cached(world: World) -> list[Entity]:
    return [row for table in CACHES for row in [row async for row in world.tables.scan(table)]]


async def oldest(world: World) -> datetime | None:
    times = [row.values[READ_AT] for row in await cached(world)]
    assert all(isinstance(time, datetime) for time in times)
    return min((time for time in times if isinstance(time, datetime)), default=None)


async def test_a_tenant_unchanged_for_61_nights_holds_nothing_older_than_60_days_at_an_even_cost() -> None:
    world = World()
    mailboxes = world.hire_many(12)
    await world.connect({"schedule": NIGHTLY})
    costs = []
    for night in range(75):
        before = world.cloud.counters.requests
        await world.tick()
        await world.settle()
        run = await world.last_run()
        assert run.state is RunState.SUCCEEDED
        if night:
            assert run.counts == Counts()
            costs.append(world.cloud.counters.requests - before)
        await purge_expired(world.tables, TENANT, world.clock.now())
        eldest = await oldest(world)
        assert eldest is not None
        assert world.clock.now() + NIGHT - eldest <= LIMIT  # until tomorrow's purge
        world.clock.advance(NIGHT)
    assert max(costs) <= 3 * median(costs)
    assert min(costs) == len(mailboxes) + 1
    assert len(world.names(mailboxes[0])) == 12


async def test_a_tenant_that_stopped_syncing_holds_nothing_after_60_days() -> None:
    world = World()
    world.hire_many(5)
    await world.connect()
    await world.run()
    assert await cached(world) != []
    world.clock.advance(LIMIT - NIGHT)
    await purge_expired(world.tables, TENANT, world.clock.now())
    assert await cached(world) == []


async def test_after_a_purge_by_age_the_next_sync_converges_without_a_duplicate() -> None:
    world = World()
    mailboxes = world.hire_many(5)
    await world.connect()
    await world.run()
    world.clock.advance(LIMIT)
    await purge_expired(world.tables, TENANT, world.clock.now())
    world.hire("New Colleague", mailbox="none")
    run = await world.run()
    assert run.counts == Counts(created=5)
    assert all(len(contacts) == 1 for mailbox in mailboxes for contacts in world.ours(mailbox).values())


async def test_purge_after_every_sync_leaves_no_cache_and_changes_nothing_else() -> None:
    world = World()
    mailboxes = world.hire_many(5)
    await world.connect({"purge_after_sync": True})
    for night in range(3):
        run = await world.run(check=Check.CHANGES if night else Check.DUE)
        assert (run.state, run.counts) == (RunState.SUCCEEDED, Counts(created=0 if night else 25))
        assert await cached(world) == []
        world.clock.advance(NIGHT)
    world.tenant.change_user(mailboxes[0], {"department": "Legal"})
    assert (await world.run()).counts == Counts(updated=5)
    assert await cached(world) == []


async def test_purge_after_every_sync_covers_a_held_run() -> None:
    world = World()
    world.hire_many(6, mailboxes=2)
    await world.connect({"purge_after_sync": True, "brakes": {"percent": 20, "at_least": 2}})
    await world.run()
    for user in list(world.tenant.directory.users.objects)[-2:]:
        world.tenant.remove_user(user)
    assert (await world.run()).state is RunState.HELD
    assert await cached(world) == []


@pytest.mark.parametrize("table", CACHES)
async def test_losing_one_cache_costs_requests_and_nothing_else(table: str) -> None:
    world = World()
    mailboxes = world.hire_many(5)
    await world.connect()
    await world.run()
    world.clock.advance(NIGHT)
    for row in [row async for row in world.tables.scan(table)]:
        await world.tables.commit(table, row.partition, [Remove(row.row)])
    assert (await world.run()).counts == Counts()
    world.hire("New Colleague", mailbox="none")
    assert (await world.run()).counts == Counts(created=5)
    assert len(world.ours(mailboxes[0])) == 6


@pytest.mark.parametrize("table", CACHES)
async def test_a_head_whose_pages_are_gone_counts_as_lost_not_as_empty(table: str) -> None:
    world = World()
    world.hire_many(5)
    await world.connect()
    await world.run()
    world.clock.advance(NIGHT)
    for row in [row async for row in world.tables.scan(table) if not row.row.endswith("head")]:
        await world.tables.commit(table, row.partition, [Remove(row.row)])
    world.hire("New Colleague", mailbox="none")
    run = await world.run()
    assert (run.state, run.counts) == (RunState.SUCCEEDED, Counts(created=5))


async def test_a_purge_in_the_middle_of_a_run_is_made_up_for() -> None:
    world = World()
    mailboxes = world.hire_many(5)
    await world.connect()
    purged = False

    async def purge_once(moment: str, operation: str, queue: str) -> None:
        nonlocal purged
        if not purged and queue == messages.SYNC_CHUNK:
            purged = True
            await world.context.purge(TENANT, SYNC)

    world.queues.hook = purge_once
    assert (await world.run()).state.final
    assert (await world.last_run()).state is RunState.SUCCEEDED
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [5] * 5
