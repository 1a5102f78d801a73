"""What mirrored calendars cost in requests, counted on the Microsoft 365 stand-in, on virtual time."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any

from benchmarks.isolated import isolated
from benchmarks.progress import Step

EVENTS = 1000
READERS = 10
MANY_READERS = 200
DAYS = 20  # of the small window that many readers see
PER_CALL = 20
PER_LISTING = 999


def measure(step: Step) -> dict[str, Any]:
    """A calendar with many events for few readers, and one with a daily series for many."""
    step.say(f"a first mirror and quiet nights: {EVENTS:,} events, {READERS} mailboxes")
    large = isolated("benchmarks.calendars:large", events=EVENTS, readers=READERS)
    step.say(f"a moved occurrence and the window sliding: {MANY_READERS} mailboxes")
    wide = isolated("benchmarks.calendars:wide", days=DAYS, readers=MANY_READERS)
    cases = {**large, **wide}
    for case, most in limits().items():
        for name, limit in most.items():
            cases[case][name] = {"value": cases[case][name], "atMost": limit}
    return {"events": EVENTS, "mailboxes": READERS, "manyMailboxes": MANY_READERS, "days": DAYS, **cases}


def limits() -> dict[str, dict[str, float]]:
    """The most that each case may take of one mailbox."""
    return {
        "firstMirror": {"requestsPerMailbox": EVENTS + 2, "callsTouchingAMailbox": ceil(EVENTS / PER_CALL) + 2},
        "nothingChanged": {"requestsPerMailbox": 0, "sourceRequests": 1},
        "look": {"requestsPerMailbox": ceil(EVENTS / PER_LISTING)},
        "slideWithoutEdges": {"writes": 0},
        "oneMoved": {"requestsPerMailbox": 1, "mailboxCalls": MANY_READERS / PER_CALL + 2},
        "lookOfMany": {"requestsPerMailbox": 1, "mailboxCalls": MANY_READERS / PER_CALL + 2},
        "slide": {"writesPerMailbox": 2},
    }


async def large(events: int, readers: int) -> dict[str, Any]:
    """Night after night in a tenant whose room has many events, none of them at the window's edges."""
    from sync_core.state.runs import Check
    from tests.engine.rooms import Rooms

    world = Rooms()
    world.hire_many(readers)
    for number in range(events):
        world.book(f"Event {number}", f"2026-11-{number % 24 + 5:02}T{number % 23:02}:00:00")
    await world.mirror()
    first = await _night(world, writes=events * readers)
    nothing = await _night(world)
    look = await _night(world, check=Check.CHANGES)
    world.clock.advance(timedelta(days=1))
    slide = await _night(world)
    return {"firstMirror": first, "nothingChanged": nothing, "look": look, "slideWithoutEdges": slide}


async def wide(days: int, readers: int) -> dict[str, Any]:
    """Night after night in a tenant whose room has a series without end, which many see."""
    from sync_core.state.runs import Check
    from tests.engine.rooms import BERLIN, Rooms, daily, stamp

    world = Rooms()
    world.hire_many(readers)
    series = world.book("Series", "2026-10-12T09:00:00", zone=BERLIN, recurrence=daily("2026-10-12"))
    await world.mirror(events={"days_back": 5, "days_ahead": days - 5})
    await _night(world, writes=days * readers)
    now = world.clock.now()
    room = world.kept(world.room)
    third = list(room.unfolded(series, now, now + timedelta(days=9)))[2]
    later = third.start + timedelta(hours=3)
    room.change(third, {"start": stamp(later, "UTC"), "end": stamp(later + timedelta(hours=1), "UTC")})
    moved = await _night(world, writes=readers)
    look = await _night(world, check=Check.CHANGES)
    world.clock.advance(timedelta(days=1))
    slide = await _night(world, writes=2 * readers)
    return {"oneMoved": moved, "lookOfMany": look, "slide": slide}


async def _night(world: Any, *, writes: int = 0, **options: Any) -> dict[str, Any]:
    """One run, which must write so much, and what it took of Graph."""
    from tests.engine.rooms import SYNC

    world.cloud.counters.reset()
    run = await world.run(sync=SYNC, **options)
    written = run.counts.created + run.counts.updated + run.counts.deleted
    assert (run.state, written) == ("succeeded", writes), run
    assert not any(world.kept(user).mailed for user in world.tenant.mailboxes), "somebody was mailed"
    served = world.cloud.counters
    source = served.mailboxes.pop(world.room, 0)
    readers = len(world.tenant.mailboxes) - 1
    return {
        "requestsPerMailbox": max(served.mailboxes.values(), default=0),
        "callsTouchingAMailbox": max((calls for user, calls in served.mailbox_calls.items() if user != world.room), default=0),
        "mailboxCalls": served.http_calls - source - sum(n for name, n in served.templates.items() if "/users/delta" in name),
        "sourceRequests": source,
        "writes": written,
        "writesPerMailbox": written / readers,
    }
