"""Calendars mirrored by the same engine as contacts: what people see, what it costs, and that nobody gets a mail."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from local.m365.calendars.events import Shown
from sync_core.errors import Reason
from sync_core.model import RunState
from sync_core.state.runs import Check
from tests.engine.rooms import BERLIN, SYNC, TEAM, Watched, daily, stamp, watched, weekly

GUESTS = [{"emailAddress": {"name": "Guest", "address": "guest@partner.example"}, "type": "required"}]


@pytest.fixture
def world() -> Watched:
    return watched()


# --- what is seen ----------------------------------------------------------------------------------------------------


async def test_the_mirror_shows_what_the_room_shows(world: Watched) -> None:
    world.book("Single", "2026-11-05T10:00:00", zone=BERLIN, location={"displayName": "Linden 1"}, attendees=GUESTS)
    world.book("Series", "2026-10-12T09:00:00", zone=BERLIN, recurrence=weekly("2026-10-12", "monday", "thursday"))
    world.book_days("Fair", "2026-12-01", 3)
    world.book_days("Cleaning", "2026-11-07", zone="Tokyo Standard Time", recurrence=weekly("2026-11-07", "saturday"))
    world.book("Long ago", "2026-08-01T10:00:00")
    world.book("Far away", "2028-01-01T10:00:00")
    await world.mirror(events={"color": "lightGreen"})
    run = await world.good()
    assert world.differences(world.reader) == []
    mirrored = world.mirrored(world.reader)
    assert (mirrored.name, mirrored.color) == (TEAM, "lightGreen")
    assert run.counts.created == len(mirrored.events) > 100
    for event in mirrored.events.values():
        assert not event.is_series
        assert (event.values["isReminderOn"], event.values.get("attendees")) == (False, None)
    assert world.kept(world.room).mailed == {"invitations": 1}


async def test_every_change_costs_one_write(world: Watched) -> None:
    single = world.book("Single", "2026-11-05T10:00:00")
    series = world.book("Series", "2026-11-03T09:00:00", zone=BERLIN, recurrence=daily("2026-11-03"))
    await world.mirror(events={"days_ahead": 10})
    await world.good()
    room, user = world.kept(world.room), world.reader
    view = {shown.day: shown for shown in room.unfolded(series, world.clock.now(), world.clock.now() + timedelta(days=9))}
    days = sorted(day for day in view if day is not None)
    at = world.clock.now() + timedelta(days=3)
    room.change(view[days[1]], {"start": stamp(at, "UTC"), "end": stamp(at + timedelta(hours=1), "UTC")})
    run = await world.good()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 0)
    room.delete(view[days[2]])
    room.change(room.find(single.id), {"subject": "Renamed"})
    run = await world.good()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 1)
    room.change(
        room.find(series.id), {"start": stamp(at.replace(day=3, hour=8), BERLIN), "end": stamp(at.replace(day=3, hour=9), BERLIN)}
    )
    run = await world.good()
    # the exceptions went with the old times: all occurrences are written, and the cancelled one is there again
    assert (run.counts.created, run.counts.deleted) == (1, 0)
    seen = world.seen(world.mirrored(user), user, days_ahead=10)
    assert seen == world.seen(room.default, world.room, days_ahead=10)
    assert len(seen) == 10


async def test_a_day_of_utc_with_two_occurrences_has_both() -> None:
    world = Watched()
    user = world.hire("Reader One")
    world.clock.advance(timedelta(days=125))  # clocks are changed in America on 14 March
    world.book("Late", "2027-03-08T19:30:00", zone="Eastern Standard Time", recurrence=daily("2027-03-08"))
    await world.mirror(events={"days_ahead": 15})
    run = await world.good()
    starts = [sight[1] for sight in world.seen(world.mirrored(user), user, days_ahead=15)]
    assert [start for start in starts if "03-14" in start] == ["2027-03-14T00:30:00", "2027-03-14T23:30:00"]
    assert run.counts.created == len(starts)
    assert world.seen(world.kept(world.room).default, world.room, days_ahead=15) == world.seen(
        world.mirrored(user), user, days_ahead=15
    )


async def test_an_event_is_written_in_its_own_zone_and_another_zone_is_a_change(world: Watched) -> None:
    event = world.book("Call", "2026-11-05T10:00:00", zone="Tokyo Standard Time")
    custom = world.book("From Outlook", "2026-11-06T10:00:00", originalStartTimeZone="tzone://Microsoft/Custom")
    world.book("By name of IANA", "2026-11-07T10:00:00", zone="Asia/Kolkata")
    await world.mirror()
    await world.good()
    mirrored = {str(one.values["subject"]): one for one in world.mirrored(world.reader).events.values()}
    zones = {subject: one.values["start"]["timeZone"] for subject, one in mirrored.items()}
    assert zones == {"Call": "Tokyo Standard Time", "From Outlook": "UTC", "By name of IANA": "India Standard Time"}
    assert custom.values["start"] == {"dateTime": "2026-11-06T10:00:00", "timeZone": "UTC"}
    ten = datetime.fromisoformat("2026-11-05T10:00:00")
    times = {side: stamp(ten + timedelta(hours=hours), "Korea Standard Time") for side, hours in (("start", 0), ("end", 1))}
    world.kept(world.room).change(Shown(event), times)  # the clocks of Tokyo and Seoul agree
    run = await world.good()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 0)
    assert mirrored["Call"].values["start"] == {"dateTime": "2026-11-05T10:00:00", "timeZone": "Korea Standard Time"}
    kept = world.kept(world.reader)
    kept.change(Shown(mirrored["Call"]), {side: stamp(ten, "UTC") for side in ("start", "end")})
    run = await world.good(check=Check.CHANGES)
    assert (run.counts.updated, mirrored["Call"].values["start"]["timeZone"]) == (1, "Korea Standard Time")
    world.cloud.counters.reset()
    await world.good(check=Check.CHANGES)
    assert world.cloud.counters.mailboxes[world.reader] == 1


async def test_a_series_keeps_its_hour_when_clocks_change(world: Watched) -> None:
    world.clock.advance(timedelta(days=130))  # 12 March 2027; clocks in Berlin change on the 28th
    world.book("Stand-up", "2027-03-20T09:00:00", zone=BERLIN, recurrence=daily("2027-03-20"))
    await world.mirror(events={"days_ahead": 30})
    await world.good()
    starts = {
        (one.values["start"]["dateTime"][11:], one.values["start"]["timeZone"])
        for one in world.mirrored(world.reader).events.values()
    }
    assert starts == {("09:00:00", BERLIN)}
    assert {start[11:] for _, start, *_ in world.seen(world.mirrored(world.reader), world.reader)} == {"08:00:00", "07:00:00"}


async def test_several_calendars_go_into_one(world: Watched) -> None:
    other = world.hire("Second Room", mailbox="ok")
    world.book("Workshop", "2026-11-05T10:00:00")
    world.book("Interview", "2026-11-05T10:00:00", user=other)
    sources = [world.source(prefix="[Linden]"), {"kind": "calendar", "mailbox": other, "category": "Second"}]
    await world.mirror(*sources, targets={"include": [world.reader]})
    run = await world.good()
    assert world.subjects(world.reader) == ["Interview", "[Linden] Workshop"]
    assert sorted(run.sources.values()) == [1, 1]
    (interview,) = [e for e in world.mirrored(world.reader).events.values() if e.values["subject"] == "Interview"]
    assert interview.values["categories"] == ["Second"]


async def test_a_named_calendar_is_found_and_a_mirror_is_no_source(world: Watched) -> None:
    room = world.kept(world.room)
    room.create(
        room.create_calendar("Board"),
        {"subject": "Board", "start": stamp(world.clock.now(), "UTC"), "end": stamp(world.clock.now(), "UTC")},
    )
    await world.mirror(world.source(calendar="board"))
    await world.good()
    assert world.subjects(world.reader) == ["Board"]
    await world.define(
        {"folder": "Again", "sources": [{"kind": "calendar", "mailbox": world.reader, "calendar": TEAM}]}, sync="again"
    )
    run = await world.run(sync="again")
    assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_UNREADABLE)
    assert "no calendar of this name" in run.detail


async def test_private_events_show_only_that_the_room_is_taken(world: Watched) -> None:
    world.book("Dismissal", "2026-11-05T10:00:00", sensitivity="private", body={"contentType": "text", "content": "secret"})
    await world.mirror()
    await world.good()
    (event,) = world.mirrored(world.reader).events.values()
    assert event.values["subject"] == "Busy"
    assert "secret" not in str(event.values)
    await world.define(
        {"folder": TEAM, "sources": [world.source()], "events": {"private": "skip"}, "brakes": {"percent": 100}}, sync=SYNC
    )
    run = await world.run(sync=SYNC)
    assert run.state is RunState.HELD  # down to nothing


# --- what it costs ---------------------------------------------------------------------------------------------------


async def test_the_first_mirror_of_a_thousand_events() -> None:
    world = Watched()
    user = world.hire("Reader One")
    for number in range(1000):
        world.book(f"Event {number}", f"2026-11-{number % 27 + 3:02}T{number % 23:02}:00:00")
    await world.mirror(targets={"include": [user]})
    await world.good()
    assert world.cloud.counters.mailboxes[user] == 1000 + 2
    assert world.cloud.counters.mailbox_calls[user] == 50 + 2
    assert len(world.mirrored(user).events) == 1000


async def test_nothing_changed_costs_nothing_and_a_look_one_request(world: Watched) -> None:
    user = world.reader
    for number in range(40):
        world.book(f"Event {number}", f"2026-11-{number % 20 + 5:02}T10:00:00")
    await world.mirror()
    await world.good()
    world.cloud.counters.reset()
    await world.good()
    assert (world.cloud.counters.mailboxes[user], world.cloud.counters.mailboxes[world.room]) == (0, 1)
    await world.good(check=Check.CHANGES)
    assert world.cloud.counters.mailboxes[user] == 1


async def test_one_moved_occurrence_costs_one_write_in_each_mailbox() -> None:
    world = Watched()
    users = world.hire_many(30)  # the benchmarks count it for 200
    series = world.book("Series", "2026-11-03T09:00:00", zone=BERLIN, recurrence=weekly("2026-11-03", "tuesday"))
    await world.mirror(events={"days_ahead": 40})
    await world.good()
    world.cloud.counters.reset()
    room = world.kept(world.room)
    third = list(room.unfolded(series, world.clock.now(), world.clock.now() + timedelta(days=30)))[2]
    later = third.start + timedelta(hours=3)
    room.change(third, {"start": stamp(later, "UTC"), "end": stamp(later + timedelta(hours=1), "UTC")})
    run = await world.good()
    assert [world.cloud.counters.mailboxes[user] for user in users] == [1] * len(users)
    assert run.counts.updated == len(users)


async def test_the_nightly_slide_writes_only_at_the_edges(world: Watched) -> None:
    user = world.reader
    world.book("Series", "2026-09-01T09:00:00", recurrence=daily("2026-09-01"))
    await world.mirror(events={"days_back": 5, "days_ahead": 10})
    await world.good()
    for _night in range(12):
        world.cloud.counters.reset()
        world.clock.advance(timedelta(days=1))
        run = await world.good()
        assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 0, 1)
        assert world.cloud.counters.mailboxes[user] <= 4  # two writes, the look, and now and then whether the calendar is there
        assert world.cloud.counters.templates["GET /users/{id}/calendars/{id}/calendarview"] <= 1


async def test_a_slide_without_edges_writes_nothing(world: Watched) -> None:
    world.book("Once", "2026-11-20T09:00:00")
    await world.mirror()
    await world.good()
    world.cloud.counters.reset()
    world.clock.advance(timedelta(days=1))
    await world.good()
    assert world.cloud.counters.mailboxes[world.reader] == 1  # the look


async def test_what_slides_out_does_not_trip_the_brakes(world: Watched) -> None:
    for number in range(20):
        world.book(f"Fair {number}", "2026-11-01T10:00:00")
    world.book("Next year", "2027-02-01T10:00:00")
    await world.mirror(events={"days_back": 2})
    await world.good()
    world.clock.advance(timedelta(days=3))
    run = await world.good()
    assert run.counts.deleted == 20
    assert world.subjects(world.reader) == ["Next year"]


async def test_what_slides_out_does_not_trip_them_when_nothing_is_remembered(world: Watched) -> None:
    other = world.hire("Second Room")
    for number in range(20):
        world.book(f"Fair {number}", "2026-11-01T10:00:00")
    for number in range(15):
        world.book(f"Course {number}", "2026-11-20T10:00:00", user=other)
    sources = [world.source(), {"kind": "calendar", "mailbox": other}]
    await world.mirror(
        *sources, events={"days_back": 2}, purge_after_sync=True, targets={"include": [world.reader]}, brakes={"at_least": 5}
    )
    await world.good()
    world.clock.advance(timedelta(days=3))
    run = await world.good()
    assert (run.counts.deleted, sorted(run.sources.values())) == (20, [0, 15])
    world.clock.advance(timedelta(days=1))
    await world.good()


async def test_a_calendar_that_is_suddenly_empty_holds_however_much_slid_out_of_another(world: Watched) -> None:
    other = world.hire("Second Room")
    for number in range(40):
        world.book(f"Fair {number}", "2026-11-01T10:00:00")
    world.book("Fair to come", "2026-11-20T10:00:00")
    courses = [world.book(f"Course {number}", "2026-11-20T10:00:00", user=other) for number in range(15)]
    sources = [world.source(), {"kind": "calendar", "mailbox": other}]
    await world.mirror(*sources, events={"days_back": 2}, targets={"include": [world.reader]})
    await world.good()
    world.clock.advance(timedelta(days=3))
    for course in courses:
        world.kept(other).delete(Shown(course))
    run = await world.run(sync=SYNC)
    assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_DROPPED)
    assert run.detail.endswith("16 -> 1")  # forty of the fifty-six were left behind
    assert len(world.mirrored(world.reader).events) == 56


async def test_what_is_deleted_does(world: Watched) -> None:
    events = [world.book(f"Event {number}", "2026-11-10T10:00:00") for number in range(20)]
    await world.mirror()
    await world.good()
    room = world.kept(world.room)
    for event in events[:15]:
        room.delete(room.find(event.id))
    run = await world.run(sync=SYNC)
    assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_DROPPED)
    assert len(world.mirrored(world.reader).events) == 20


# --- what users do ---------------------------------------------------------------------------------------------------


async def test_users_edits_are_overwritten_and_deletions_restored(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    world.book("Two", "2026-11-11T10:00:00")
    await world.mirror()
    await world.good()
    kept = world.kept(world.reader)
    one, two = sorted(world.mirrored(world.reader).events.values(), key=lambda event: str(event.values["subject"]))
    kept.change(kept.find(one.id), {"subject": "Mine", "isReminderOn": True})
    kept.delete(kept.find(two.id))
    await world.good(check=Check.CHANGES)
    assert world.subjects(world.reader) == ["One", "Two"]
    assert world.differences(world.reader) == []


async def test_deletions_are_respected_where_that_is_wanted(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    world.book("Two", "2026-11-11T10:00:00")
    await world.mirror(on_user_delete="respect")
    await world.good()
    kept = world.kept(world.reader)
    gone = next(iter(world.mirrored(world.reader).events.values()))
    kept.delete(kept.find(gone.id))
    world.clock.advance(timedelta(days=1))
    await world.good()
    world.clock.advance(timedelta(days=1))
    await world.good()
    assert len(world.mirrored(world.reader).events) == 1


async def test_an_event_moved_into_another_calendar_is_the_users(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    kept = world.kept(world.reader)
    moved = next(iter(world.mirrored(world.reader).events.values()))
    kept.move(moved, kept.default)
    await world.good(check=Check.CHANGES)
    assert world.subjects(world.reader) == ["One"]
    assert moved.calendar is kept.default
    assert set(moved.extended.values()) == {"released"}


async def test_the_users_own_events_stay_as_they_are(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    kept = world.kept(world.reader)
    kept.create_calendar(TEAM)  # the user has one of that name
    await world.mirror()
    await world.good()
    mirrored = world.mirrored(world.reader)
    assert mirrored.name == f"{TEAM} (2)"
    own = kept.create(
        mirrored, {"subject": "Own", "start": stamp(world.clock.now(), "UTC"), "end": stamp(world.clock.now(), "UTC")}
    )
    before = own.version
    await world.good(check=Check.CHANGES)
    assert (own.version, own.calendar) == (before, mirrored)


async def test_a_renamed_calendar_is_still_ours_and_a_deleted_one_comes_back(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    kept = world.kept(world.reader)
    kept.rename_calendar(world.mirrored(world.reader), "Mine now")
    world.book("Two", "2026-11-10T10:00:00")
    await world.good(check=Check.EVERYTHING)
    assert (world.mirrored(world.reader).name, len(world.mirrored(world.reader).events)) == ("Mine now", 2)
    kept.delete_calendar(world.mirrored(world.reader))
    await world.good(check=Check.EVERYTHING)
    assert (world.mirrored(world.reader).name, len(world.mirrored(world.reader).events)) == (TEAM, 2)


async def test_another_colour_reaches_every_calendar_once_and_the_users_own_stays(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror(events={"color": "lightGreen"})
    await world.good()
    mirrored = world.mirrored(world.reader)
    mirrored.color = "lightPink"  # the reader likes that better
    await world.good(check=Check.EVERYTHING)
    assert mirrored.color == "lightPink"
    await world.mirror(events={"color": "lightBlue"})
    world.cloud.counters.reset()
    run = await world.good()
    assert (mirrored.color, world.cloud.counters.mailboxes[world.reader]) == ("lightBlue", 1)
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    mirrored.color = "lightPink"
    world.cloud.counters.reset()
    await world.good()
    assert (mirrored.color, world.cloud.counters.mailboxes[world.reader]) == ("lightPink", 0)
    world.kept(world.reader).delete_calendar(mirrored)
    await world.good(check=Check.EVERYTHING)
    assert world.mirrored(world.reader).color == "lightBlue"


async def test_leaving_takes_the_calendar_away(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    world.tenant.enable_user(world.reader, enabled=False)
    world.hire("Somebody Else")
    await world.good()
    assert [calendar.name for calendar in world.kept(world.reader).listed()] == ["Calendar"]
    assert world.kept(world.reader).events() == []
