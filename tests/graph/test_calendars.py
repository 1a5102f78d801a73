"""Calendars and events of a mailbox, against the stand-in for Microsoft 365."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from local.m365.faults import Fault, FaultKind
from sync_core.errors import AnswerLostError, ConflictError, DeltaExpiredError
from sync_core.marks import FINGERPRINT_PROPERTY, KEY_PROPERTY
from sync_core.model import Create, Delete, Folder, Update
from sync_core.ports import Calendars
from tests.graph.canned import TENANT
from tests.graph.conftest import World

MARK = "inst/sync/"
FIELDS = ("subject", "start", "end")
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def body(subject: str, day: int = 10) -> bytes:
    times = {
        side: {"dateTime": f"2026-11-{day:02}T{hour}:00:00", "timeZone": "UTC"} for side, hour in (("start", 10), ("end", 11))
    }
    marks = [{"id": KEY_PROPERTY, "value": f"{MARK}e:{subject}"}, {"id": FINGERPRINT_PROPERTY, "value": "k1.e.abc"}]
    return orjson.dumps({"subject": subject, **times, "singleValueExtendedProperties": marks})


async def replica(calendars: Calendars, user: str, *subjects: str) -> tuple[Folder, list[str]]:
    calendar = await calendars.create_folder(user, "Team", MARK)
    made = await calendars.write(user, calendar.folder_id, [Create(f"e:{one}", body(one)) for one in subjects])
    return calendar, [outcome.item_id for outcome in made]


async def test_a_calendar_is_made_with_mark_and_colour_and_found_by_them(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT, color="lightPink"), world.users[0]
    made = await calendars.create_folder(user, "Team", MARK)
    assert world.tenant.calendars(user).calendar(made.folder_id).color == "lightPink"
    assert [(one.name, one.mark) for one in await calendars.folders(user)] == [("Calendar", None), ("Team", MARK)]
    assert (await calendars.default(user)).name == "Calendar"
    await calendars.rename_folder(user, made.folder_id, "Other")
    renamed = await calendars.folder(user, made.folder_id)
    assert renamed is not None
    assert renamed.name == "Other"
    with pytest.raises(ConflictError):
        await calendars.create_folder(user, "Other", MARK)
    await calendars.delete_folder(user, made.folder_id)
    assert await calendars.folder(user, made.folder_id) is None


async def test_events_are_written_listed_and_removed(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT), world.users[0]
    calendar, (one, two) = await replica(calendars, user, "one", "two")
    changed = Update("e:one", one, body("uno"))
    outcomes = await calendars.write(user, calendar.folder_id, [changed, Delete("e:two", two)])
    assert [outcome.error for outcome in outcomes] == [None, None]
    (page,) = [page async for page in calendars.items(user, calendar.folder_id, fields=FIELDS)]
    assert [(item.item_id, item.mark, item.folder_id) for item in page] == [(one, f"{MARK}e:uno", calendar.folder_id)]
    assert page[0].fields == {
        "subject": "uno",
        "start": {"dateTime": "2026-11-10T10:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-11-10T11:00:00.0000000", "timeZone": "UTC"},
    }
    assert world.tenant.calendars(user).events() == [world.tenant.calendars(user).find(one).event]


async def test_a_look_tells_in_which_calendar_an_event_is(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT), world.users[0]
    calendar, (here, moved, deleted, gone) = await replica(calendars, user, "here", "moved", "deleted", "gone")
    kept = world.tenant.calendars(user)
    kept.move(kept.find(moved).event, kept.default)
    kept.delete(kept.find(deleted))
    kept.delete(kept.find(gone), permanently=True)
    seen = await calendars.look(user, [here, moved, deleted, gone], fields=FIELDS)
    assert [item and item.folder_id for item in seen] == [calendar.folder_id, kept.default.id, "", None]
    item = await calendars.item(user, here, fields=FIELDS)
    assert item == seen[0]


async def test_a_create_is_repeated_without_a_second_event(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT), world.users[0]
    calendar = await calendars.create_folder(user, "Team", MARK)
    world.fault(Fault(FaultKind.LOST, times=1, method="POST", path="/events$"))
    create = Create("e:one", body("one"))
    (lost,) = await calendars.write(user, calendar.folder_id, [create])
    assert isinstance(lost.error, AnswerLostError)
    (made,) = await calendars.write(user, calendar.folder_id, [create])
    (event,) = world.tenant.calendars(user).events()
    assert (made.item_id, made.error) == (event.id, None)
    (anew,) = await world.graph.calendars(TENANT).write(user, calendar.folder_id, [create])
    assert anew.item_id != event.id  # another piece of work means another event


async def test_a_late_create_is_no_second_event(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT), world.users[0]
    calendar = await calendars.create_folder(user, "Team", MARK)
    world.fault(Fault(FaultKind.LATE, times=1, delay=60, method="POST", path="/events$"))
    create = Create("e:one", body("one"))
    await calendars.write(user, calendar.folder_id, [create])
    await calendars.write(user, calendar.folder_id, [create])
    world.clock.advance(timedelta(seconds=90))
    assert len(world.tenant.calendars(user).events()) == 1
    assert world.m365.pending == 0


async def test_a_view_is_read_page_by_page_and_its_changes_signalled(world: World) -> None:
    calendars, user = world.graph.calendars(TENANT), world.users[0]
    kept = world.tenant.calendars(user)
    days = {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd", "startDate": "2026-11-10"}}
    event = kept.create(kept.default, {**orjson.loads(body("one")), "recurrence": days, "singleValueExtendedProperties": []})
    mine = (await calendars.default(user)).folder_id
    raw = [one async for page in calendars.view(user, mine, START, END) for one in page]
    assert len(raw) == 21
    assert {one["type"] for one in raw} == {"occurrence"}
    pages = [page async for page in calendars.view_changes(user, mine, None, START, END)]
    link = pages[-1].delta_link
    assert link is not None
    (quiet,) = [page async for page in calendars.view_changes(user, mine, link, START, END)]
    assert (quiet.changed, quiet.removed) == ([], [])
    kept.delete(kept.find(event.id))
    (loud,) = [page async for page in calendars.view_changes(user, mine, quiet.delta_link, START, END)]
    assert loud.removed
    world.fault(Fault(FaultKind.TOKEN_EXPIRED, times=1))
    with pytest.raises(DeltaExpiredError):
        _ = [page async for page in calendars.view_changes(user, mine, loud.delta_link, START, END)]
