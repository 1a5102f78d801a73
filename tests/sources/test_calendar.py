"""Calendars as sources: what is asked of Microsoft 365, and what is noticed."""

from __future__ import annotations

from datetime import timedelta

from local.m365.faults import Fault, FaultKind
from sync_core.model import RunState
from sync_core.state.runs import Run
from tests.engine.rooms import SYNC, Rooms, daily

VIEW = "GET /users/{id}/calendars/{id}/calendarview"
DELTA = f"{VIEW}/delta"


async def mirrored(world: Rooms) -> str:
    user = world.hire("Reader One")
    world.book("Weekly", "2026-11-03T09:00:00", recurrence=daily("2026-11-03"))
    world.book("Once", "2026-11-05T10:00:00")
    await world.mirror(events={"days_ahead": 10})
    await good(world)
    world.cloud.counters.reset()
    return user


async def good(world: Rooms) -> Run:
    run = await world.run(sync=SYNC)
    assert run.state is RunState.SUCCEEDED, run.reason
    return run


async def test_silence_costs_one_request_and_a_signal_a_view() -> None:
    world = Rooms()
    user = await mirrored(world)
    await good(world)
    assert (world.cloud.counters.templates[DELTA], world.cloud.counters.templates[VIEW]) == (1, 0)
    world.book("New", "2026-11-06T10:00:00")
    await good(world)
    assert (world.cloud.counters.templates[DELTA], world.cloud.counters.templates[VIEW]) == (2, 1)
    assert "New" in world.subjects(user)


async def test_what_the_delta_misses_is_found_within_a_day() -> None:
    world = Rooms()
    user = await mirrored(world)
    world.cloud.faults.add(Fault(FaultKind.MISSED, object="event", times=2))
    room = world.kept(world.room)
    (once,) = [event for event in room.default.events.values() if not event.is_series]
    room.delete(room.find(once.id))
    await good(world)
    assert "Once" in world.subjects(user)
    world.clock.advance(timedelta(hours=20))
    await good(world)
    assert "Once" not in world.subjects(user)


async def test_an_expired_link_and_a_grown_window_begin_anew() -> None:
    world = Rooms()
    user = await mirrored(world)
    world.cloud.faults.add(Fault(FaultKind.TOKEN_EXPIRED, times=1, path="calendarView"))
    assert (await good(world)).counts.updated == 0
    world.clock.advance(timedelta(days=9))
    run = await good(world)
    assert run.counts.created == 9
    await world.mirror(events={"days_ahead": 12})
    assert (await good(world)).counts.created == 2
    assert len(world.subjects(user)) == 9 + 1 + 1 + 9 + 2 - 1


async def test_ids_that_change_leave_the_mirror_alone() -> None:
    world = Rooms()
    await mirrored(world)
    world.tenant.change_item_ids(world.room)
    world.clock.advance(timedelta(hours=20))
    run = await good(world)
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)


async def test_two_syncs_share_one_reading() -> None:
    world = Rooms()
    await mirrored(world)
    await world.define({"folder": "Again", "sources": [world.source()], "events": {"days_ahead": 10}}, sync="again")
    await world.run(sync="again")
    assert (world.cloud.counters.templates[DELTA], world.cloud.counters.templates[VIEW]) == (1, 0)
