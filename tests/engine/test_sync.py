"""The nightly contact sync, end to end in memory."""

from __future__ import annotations

from sync_core.model import RunState
from tests.engine.world import World


async def test_the_first_sync_brings_every_colleague_into_every_mailbox() -> None:
    world = World()
    people = world.hire_many(5)
    await world.connect()

    run = await world.run()

    assert run.state is RunState.SUCCEEDED
    for mailbox in people:
        assert world.names(mailbox) == [f"Person Number{number:05d}" for number in range(5)]
    assert run.counts.created == 25


async def test_nothing_changed_costs_nothing_per_mailbox() -> None:
    world = World()
    world.hire_many(5)
    await world.connect()
    await world.run()
    before = world.cloud.counters.requests

    run = await world.run()

    assert run.state is RunState.SUCCEEDED
    assert world.cloud.counters.requests - before == 1
