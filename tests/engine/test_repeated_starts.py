"""Runs asked for or started more than once: none is lost, none does anything twice, and none looks less closely than asked."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core import messages
from sync_core.engine import runs, undo
from sync_core.model import Counts, RunState
from sync_core.state.names import CHUNKS
from sync_core.state.runs import Check, Run, load_run, newest_runs
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.test_interruptions import quieten
from tests.engine.world import SYNC, TENANT, World, deliver


async def all_runs(world: World) -> list[Run]:
    return [run async for run in newest_runs(world.tables, TENANT)]


async def test_the_run_that_follows_looks_as_closely_as_anybody_asked() -> None:
    world = World()
    mailbox = world.hire_many(3)[0]
    await world.connect()
    await world.run()
    await runs.request_run(world.context, TENANT, SYNC)
    for check in (Check.DUE, Check.EVERYTHING, Check.CHANGES):
        await runs.request_run(world.context, TENANT, SYNC, check=check)
    await world.settle(most=2)
    world.tenant.mailbox(mailbox).delete_folder(world.tenant.folder(mailbox, "Colleagues"))
    await world.settle()
    assert (await world.last_run()).check is Check.EVERYTHING
    assert len(world.names(mailbox)) == 3


async def test_a_run_that_must_be_followed_is_followed_by_one_that_looks_as_closely() -> None:
    """The snapshot is purged while the run is under way: it could not look at everything, so the next one has to."""
    world = World()
    world.hire_many(3)
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC, check=Check.EVERYTHING)
    await world.settle(most=1)
    await world.context.purge(TENANT, SYNC)
    await world.settle()
    (follower,) = [other for other in await all_runs(world) if other.run != run]
    assert (follower.check, follower.counts.created) == (Check.EVERYTHING, 9)


@pytest.mark.parametrize("coalesced", [False, True])
async def test_what_a_run_was_asked_for_survives_a_worker_that_dies(coalesced: bool) -> None:
    for after in range(1, 40):
        hazards = Hazards()
        site = Site(hazards)
        site.hire_many(2)
        await site.connect()
        if coalesced:
            await site.call(lambda context: runs.request_run(context, TENANT, SYNC))
        hazards.fuses = [Fuse(hazards.kill, after)]
        await site.call(lambda context: runs.request_run(context, TENANT, SYNC, check=Check.EVERYTHING))
        unharmed = bool(hazards.fuses)
        hazards.fuses.clear()
        await quieten(site)
        asked = [run.check for run in await all_runs(site)][: -1 if coalesced else None]
        assert asked in ([], [Check.EVERYTHING]), after  # []: it died before it had asked
        if unharmed:
            assert asked
            return
    raise AssertionError("never unharmed")


async def test_an_undo_survives_a_worker_that_dies() -> None:
    done = 0
    for after in range(1, 40):
        hazards = Hazards()
        site = Site(hazards)
        people = site.hire_many(3)
        await site.connect()
        await site.run()
        site.tenant.change_user(people[0], {"jobTitle": "Boss"})
        bad = await site.run()
        hazards.fuses = [Fuse(hazards.kill, after)]
        await site.call(lambda context, bad=bad: undo.undo(context, TENANT, bad.run))  # type: ignore[misc]
        unharmed = bool(hazards.fuses)
        hazards.fuses.clear()
        await quieten(site)
        newest = (await all_runs(site))[0]
        if newest.run != bad.run:
            assert (newest.undoes, newest.counts.updated) == (bad.run, 3), after
            done += 1
        if unharmed:
            assert done > 1
            return
    raise AssertionError("never unharmed")


async def test_a_start_that_is_planned_by_two_workers_at_once_is_reported_once() -> None:
    world = World()
    mailboxes = world.hire_many(3)
    await world.connect()
    run_id = await runs.request_run(world.context, TENANT, SYNC)
    start = world.queues.receive(messages.SYNC_START)
    assert start is not None
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def dawdle(when: str, operation: str, table: str) -> None:
        if (when, operation, table) == ("before", "commit", CHUNKS) and not reached.is_set():
            reached.set()
            await go_on.wait()

    world.tables.hook = dawdle
    slow = asyncio.create_task(deliver(world.worker("worker-two"), start))
    await reached.wait()
    await deliver(world.context, start)
    chunk = world.queues.receive(messages.SYNC_CHUNK)
    assert chunk is not None
    await deliver(world.context, chunk)
    go_on.set()
    await slow
    waiting = len(world.queues)
    await world.settle()
    run = await load_run(world.tables, TENANT, run_id)
    assert (run.state, run.outcomes, run.counts) == (RunState.SUCCEEDED, {"done": 3}, Counts(created=9))
    assert (await world.results(run)).keys() == set(mailboxes)
    assert waiting <= 2  # two looks at the run, and nobody goes on planning it


async def test_a_start_that_waits_for_microsoft_is_not_taken_for_a_silent_one() -> None:
    world = World()
    mailbox = world.hire_many(3)[0]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.THROTTLED, path="/users/delta", retry_after=7200, times=2))
    run = await runs.request_run(world.context, TENANT, SYNC)
    await world.settle(most=1)
    for _ in range(11):
        world.clock.advance(timedelta(minutes=10))
        await world.tick()
    assert len(world.queues) == 1
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state is RunState.SUCCEEDED
    assert len(world.names(mailbox)) == 3
