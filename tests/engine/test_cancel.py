"""A run that somebody cancels, and mailboxes that are tried again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core.engine import retries, runs
from sync_core.errors import InputError, NotFoundError
from sync_core.model import RunState
from sync_core.state import replicas as register
from sync_core.state.runs import load_run
from sync_core.state.syncs import load_sync
from tests.engine.world import SYNC, TENANT, World, deliver


async def started(world: World) -> str:
    return await runs.request_run(world.context, TENANT, SYNC, by_hand=True)


def written(world: World, mailbox: str) -> int:
    return sum(len(items) for items in world.ours(mailbox).values())


async def test_a_run_that_has_not_begun_is_cancelled_at_once() -> None:
    world = World()
    (mailbox,) = world.hire_many(1)
    await world.connect()
    run = await started(world)
    assert (await runs.cancel(world.context, TENANT, run)).state is RunState.CANCELLED
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state is RunState.CANCELLED
    assert written(world, mailbox) == 0
    assert (await world.run()).state is RunState.SUCCEEDED
    assert written(world, mailbox) == 1


async def test_chunks_that_have_not_begun_end_without_a_write_and_the_next_run_makes_up_for_it() -> None:
    world = World()
    mailboxes = world.hire_many(45)
    await world.connect()
    run = await started(world)
    await world.settle(most=2)  # the plan and one chunk
    again = await started(world)
    assert again == run
    assert (await runs.cancel(world.context, TENANT, run)).state is RunState.CANCELLING
    assert (await runs.cancel(world.context, TENANT, run)).state is RunState.CANCELLING
    await world.settle()
    ended = await load_run(world.tables, TENANT, run)
    assert ended.state is RunState.CANCELLED
    assert ended.outcomes == {"done": 20, "cancelled": 25}
    assert ended.counts.created == 20 * 45
    sync = await load_sync(world.tables, TENANT, SYNC)
    assert (sync.active_run, sync.rerun, sync.held) == ("", "", "")
    assert sorted({written(world, mailbox) for mailbox in mailboxes}) == [0, 45]
    with pytest.raises(InputError, match="cancelled"):
        await runs.cancel(world.context, TENANT, run)
    assert (await world.run()).state is RunState.SUCCEEDED
    assert {written(world, mailbox) for mailbox in mailboxes} == {45}


async def test_what_is_being_written_is_finished_and_nothing_else() -> None:
    world = World()
    (mailbox,) = world.hire_many(70, mailboxes=1)[:1]
    await world.connect()
    run = await started(world)
    await world.settle(most=1)
    second = Fault(FaultKind.THROTTLED, times=1, method="POST", path="/contacts$", retry_after=15)
    second.predicate = lambda _: written(world, mailbox) > 23
    world.cloud.faults.add(second)
    chunk = world.queues.receive("sync-chunk")
    assert chunk is not None
    asked = world.clock.now()

    async def cancel_soon() -> None:
        await world.clock.sleep(10)
        assert 20 <= written(world, mailbox) < 40
        await runs.cancel(world.context, TENANT, run)

    await asyncio.gather(deliver(world.context, chunk), cancel_soon())
    assert world.clock.now() - asked < timedelta(minutes=2)
    assert written(world, mailbox) == 40
    await world.settle()
    ended = await load_run(world.tables, TENANT, run)
    assert ended.state is RunState.CANCELLED
    assert (ended.outcomes, ended.counts.created) == ({"cancelled": 1}, 40)
    assert (await world.run()).state is RunState.SUCCEEDED
    assert {len(items) for items in world.ours(mailbox).values()} == {1}
    assert written(world, mailbox) == 70


async def test_mailboxes_set_aside_are_tried_again_when_asked() -> None:
    world = World()
    first, second, _ = world.hire_many(3)
    await world.connect()
    for mailbox in (first, second):
        world.tenant.set_mailbox_state(mailbox, "outOfScope")
    await world.run()
    for mailbox in (first, second):
        world.tenant.set_mailbox_state(mailbox, "ok")
    await world.run()
    assert (written(world, first), written(world, second)) == (0, 0)
    await retries.retry_set_aside(world.context, TENANT, SYNC, [first])
    await world.settle()
    assert (written(world, first), written(world, second)) == (3, 0)
    await retries.retry_set_aside(world.context, TENANT, SYNC, [])
    await world.settle()
    assert written(world, second) == 3
    assert [replica async for replica in register.set_aside(world.tables, TENANT, SYNC)] == []
    with pytest.raises(NotFoundError):
        await retries.retry_set_aside(world.context, TENANT, "no-such", [])


async def test_failures_of_a_run_are_replayed() -> None:
    world = World()
    first, second = world.hire_many(2)
    await world.connect()
    world.tenant.set_mailbox_state(first, "outOfScope")
    run = await world.run()
    world.tenant.set_mailbox_state(first, "ok")
    await retries.replay(world.context, TENANT, run.run)
    await world.settle()
    assert (written(world, first), written(world, second)) == (2, 2)
    good = await world.last_run()
    assert good.outcomes == {"done": 1}
    with pytest.raises(InputError, match="no failures"):
        await retries.replay(world.context, TENANT, good.run)
    with pytest.raises(InputError, match="under way"):
        await retries.replay(world.context, TENANT, await started(world))
