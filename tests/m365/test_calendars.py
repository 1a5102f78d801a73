"""Calendars and events: ids, times and zones, series, views, extended properties, transaction ids, mails."""

from __future__ import annotations

from typing import Any

import pytest

from local.m365.mailbox import MailboxState
from tests.m365.conftest import IMMUTABLE, KEY, World, refused

UTC_TIMES = {"Prefer": 'IdType="ImmutableId", outlook.timezone="UTC", outlook.body-content-type="text"'}
MARKED = {"singleValueExtendedProperties": [{"id": KEY, "value": "Mark"}]}
BERLIN = "W. Europe Standard Time"
WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
    "range": {"type": "noEnd", "startDate": "2026-10-12"},
}
AUTUMN = "startDateTime=2026-10-10T00:00:00Z&endDateTime=2026-11-10T00:00:00Z"


def at(moment: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": moment, "timeZone": zone}


def event(subject: str = "Stand-up", *, day: str = "2026-10-12", zone: str = "UTC", **more: Any) -> dict[str, Any]:
    return {"subject": subject, "start": at(f"{day}T09:00:00", zone), "end": at(f"{day}T09:30:00", zone), **more}


async def view(world: World, window: str = AUTUMN, calendar: str = "") -> list[dict[str, Any]]:
    path = f"{world.me}/calendars/{calendar}" if calendar else world.me
    found: list[dict[str, Any]] = (await world.get(f"{path}/calendarView?{window}&$top=100", headers=UTC_TIMES))["value"]
    return found


async def series(world: World, **more: Any) -> str:
    made = await world.post(f"{world.me}/events", event(zone=BERLIN, recurrence=WEEKLY, **more), headers=IMMUTABLE)
    return str(made["id"])


# --- calendars -------------------------------------------------------------------------------------------------------


async def test_the_default_calendar_is_listed_and_cannot_be_deleted(world: World) -> None:
    made = await world.post(f"{world.me}/calendars", {"name": "Team", "color": "lightGreen", **MARKED})
    listed = (await world.get(f"{world.me}/calendars"))["value"]
    assert [(one["name"], one["isDefaultCalendar"]) for one in listed] == [("Calendar", True), ("Team", False)]
    expanded = await world.get(
        f"{world.me}/calendars/{made['id']}", params={"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY}')"}
    )
    assert (expanded["color"], expanded["singleValueExtendedProperties"][0]["value"]) == ("lightGreen", "Mark")
    refused(await world.client.delete(f"{world.me}/calendars/{listed[0]['id']}"), 400, "ErrorDeleteDistinguishedFolder")


async def test_names_of_calendars_are_unique(world: World) -> None:
    made = await world.post(f"{world.me}/calendars", {"name": "Team"})
    refused(await world.client.post(f"{world.me}/calendars", json={"name": "TEAM"}), 409, "ErrorFolderExists")
    refused(await world.client.patch(f"{world.me}/calendars/{made['id']}", json={"name": "calendar"}), 409, "ErrorFolderExists")
    refused(await world.client.post(f"{world.me}/calendars", json={"name": "Red", "color": "red"}), 400, "RequestBodyRead")


async def test_a_deleted_calendar_is_not_listed_and_answers_by_id(world: World) -> None:
    made = (await world.post(f"{world.me}/calendars", {"name": "Team"}))["id"]
    assert (await world.client.delete(f"{world.me}/calendars/{made}")).status_code == 204
    assert [one["name"] for one in (await world.get(f"{world.me}/calendars"))["value"]] == ["Calendar"]
    assert (await world.get(f"{world.me}/calendars/{made}"))["name"] == "Team"
    await world.post(f"{world.me}/calendars", {"name": "Team"})


async def test_group_calendars_take_no_application_permissions(world: World) -> None:
    refused(await world.client.get(f"/groups/{world.user}/calendarView?{AUTUMN}"), 403, "ErrorAccessDenied")


async def test_a_calendar_needs_permission_and_a_mailbox_in_scope(world: World) -> None:
    world.tenant.set_mailbox_state(world.user, MailboxState.OUT_OF_SCOPE)
    refused(await world.client.get(f"{world.me}/calendars"), 403, "ErrorAccessDenied")
    world.tenant.set_mailbox_state(world.user, MailboxState.OK)
    world.tenant.app.permissions -= {"Calendars.ReadWrite"}
    await world.sign_in()
    refused(await world.client.get(f"{world.me}/calendars"), 403, "ErrorAccessDenied")


# --- events ----------------------------------------------------------------------------------------------------------


async def test_an_event_reads_back_in_the_zone_asked_for(world: World) -> None:
    made = await world.post(f"{world.me}/events", event(zone=BERLIN, body={"contentType": "text", "content": "One\nTwo"}))
    assert made["start"] == {"dateTime": "2026-10-12T07:00:00.0000000", "timeZone": "UTC"}
    assert made["originalStartTimeZone"] == BERLIN
    assert (made["isReminderOn"], made["showAs"], made["type"]) == (True, "busy", "singleInstance")
    assert made["body"]["contentType"] == "html"
    path = f"{world.me}/events/{made['id']}"
    text = await world.get(path, headers={"Prefer": 'outlook.timezone="America/New_York", outlook.body-content-type="text"'})
    assert text["start"] == {"dateTime": "2026-10-12T03:00:00.0000000", "timeZone": "America/New_York"}
    assert text["body"] == {"contentType": "text", "content": "One\r\nTwo\r\n"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"subject": "No times"}, "ErrorPropertyValidationFailure"),
        (event(end=at("2026-10-12T08:00:00")), "ErrorCalendarEndDateIsEarlierThanStartDate"),
        (event(zone="Mars Standard Time"), "TimeZoneNotSupportedException"),
        (event(zone="America/Toronto"), "TimeZoneNotSupportedException"),
        (event(zone="tzone://Microsoft/Custom"), "TimeZoneNotSupportedException"),
        (event(start={"dateTime": "2026-10-12T09:00:00"}), "TimeZoneNotSupportedException"),
        (event(originalStartTimeZone=BERLIN), "RequestBodyRead"),
        (event(isAllDay=True), "ErrorInvalidArgument"),
        (event(isAllDay=True, start=at("2026-10-12T00:00:00"), end=at("2026-10-12T00:00:00")), "ErrorInvalidArgument"),
        (event(isAllDay=True, start=at("2026-10-12T00:00:00"), end=at("2026-10-13T00:00:00", BERLIN)), "ErrorInvalidArgument"),
        (event(organiser="x"), "RequestBodyRead"),
        (event(iCalUId="x"), "RequestBodyRead"),
        (event(showAs="maybe"), "RequestBodyRead"),
        (event(recurrence={**WEEKLY, "range": {"type": "noEnd", "startDate": "2026-10-13"}}), "ErrorPropertyValidationFailure"),
    ],
)
async def test_what_exchange_would_not_take_is_refused(world: World, body: dict[str, Any], code: str) -> None:
    refused(await world.client.post(f"{world.me}/events", json=body), 400, code)


async def test_each_word_of_an_enumeration_is_judged(world: World) -> None:
    for word, taken in (("maybe", False), ("free", True), ("perhaps", False)):
        answer = await world.client.post(f"{world.me}/events", json=event(showAs=word))
        assert (answer.status_code == 201) is taken, word


async def test_an_all_day_event_is_on_its_days_in_every_zone(world: World) -> None:
    days: dict[str, Any] = {
        "start": at("2026-10-24T00:00:00", BERLIN),
        "end": at("2026-10-26T00:00:00", BERLIN),
        "isAllDay": True,
    }
    made = await world.post(f"{world.me}/events", event(**days))
    for zone in ("UTC", "Asia/Tokyo"):
        shown = await world.get(f"{world.me}/events/{made['id']}", headers={"Prefer": f'outlook.timezone="{zone}"'})
        assert shown["start"] == {"dateTime": "2026-10-24T00:00:00.0000000", "timeZone": zone}
        assert shown["end"]["dateTime"] == "2026-10-26T00:00:00.0000000"
    path = f"{world.me}/events/{made['id']}"
    noon = {"start": at("2026-10-25T12:00:00", BERLIN), "end": days["end"]}
    refused(await world.client.patch(path, json=noon), 400, "ErrorInvalidArgument")
    one_side = {"start": at("2026-10-25T00:00:00", BERLIN)}
    refused(await world.client.patch(path, json=one_side), 400, "ErrorInvalidArgument")
    assert (await world.client.patch(path, json={**one_side, "end": days["end"]})).status_code == 200


async def test_a_transaction_id_makes_a_repeated_post_harmless(world: World) -> None:
    first = await world.post(f"{world.me}/events", event(transactionId="t-1"))
    again = await world.post(f"{world.me}/events", event("Other", transactionId="t-1"))
    assert again["id"] == first["id"]
    assert again["subject"] == "Stand-up"
    path = f"{world.me}/events/{first['id']}"
    refused(await world.client.patch(path, json={"transactionId": "t-2"}), 400, "ErrorInvalidPropertySet")
    await world.client.delete(path)
    assert (await world.post(f"{world.me}/events", event(transactionId="t-1"), headers=IMMUTABLE))["id"] != first["id"]


async def test_marks_of_events_are_expanded_and_found(world: World) -> None:
    calendar = (await world.post(f"{world.me}/calendars", {"name": "Team"}))["id"]
    path = f"{world.me}/calendars/{calendar}/events"
    await world.post(path, event("Plain"))
    await world.post(path, {**event("Marked"), **MARKED})
    mark = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY}' and ep/value eq 'mark')"
    assert [one["subject"] for one in (await world.get(path, params={"$filter": mark}))["value"]] == ["Marked"]


async def test_deleted_and_moved_events(world: World) -> None:
    calendar = (await world.post(f"{world.me}/calendars", {"name": "Team"}))["id"]
    made = (await world.post(f"{world.me}/calendars/{calendar}/events", event(), headers=IMMUTABLE))["id"]
    assert (await world.get(f"{world.me}/events/{made}/calendar"))["id"] == calendar
    kept = world.tenant.calendars(world.user)
    kept.move(kept.find(made).event, kept.default)
    refused(await world.client.get(f"{world.me}/calendars/{calendar}/events/{made}"), 404, "ErrorItemNotFound")
    assert (await world.get(f"{world.me}/events/{made}/calendar"))["name"] == "Calendar"
    assert (await world.client.delete(f"{world.me}/events/{made}")).status_code == 204
    assert (await world.get(f"{world.me}/events/{made}", headers=IMMUTABLE))["id"] == made
    refused(await world.client.get(f"{world.me}/events/{made}/calendar"), 404, "ErrorItemNotFound")
    assert (await world.client.post(f"{world.me}/events/{made}/permanentDelete")).status_code == 204
    refused(await world.client.get(f"{world.me}/events/{made}"), 404, "ErrorItemNotFound")


async def test_mails_and_online_meetings_are_counted(world: World) -> None:
    guests: list[Any] = [{"emailAddress": {"address": f"g{n}@contoso.example"}, "type": "required"} for n in range(2)]
    made = (await world.post(f"{world.me}/events", event(attendees=guests, isOnlineMeeting=True)))["id"]
    await world.client.patch(f"{world.me}/events/{made}", json={"subject": "Later"})
    await world.client.delete(f"{world.me}/events/{made}")
    assert world.tenant.mailed() == {"invitations": 2, "updates": 2, "cancellations": 2}
    assert world.tenant.calendars(world.user).online_meetings == 1


# --- series ----------------------------------------------------------------------------------------------------------


async def test_a_series_keeps_its_wall_time_when_the_clocks_change(world: World) -> None:
    await series(world)
    found = await view(world)
    assert [one["start"]["dateTime"][:16] for one in found] == [
        *("2026-10-12T07:00", "2026-10-19T07:00", "2026-10-26T08:00", "2026-11-02T08:00", "2026-11-09T08:00")
    ]
    assert {one["type"] for one in found} == {"occurrence"}
    assert found[2]["originalStart"] == "2026-10-26T08:00:00Z"
    assert len({one["id"] for one in found}) == len({one["iCalUId"] for one in found}) == 5
    assert [one["type"] for one in (await world.get(f"{world.me}/events"))["value"]] == ["seriesMaster"]


async def test_moved_and_cancelled_occurrences(world: World) -> None:
    master = await series(world)
    before = await view(world)
    moved, cancelled = before[1]["id"], before[3]["id"]
    times = {"start": at("2026-10-20T15:00:00"), "end": at("2026-10-20T15:30:00")}
    assert (await world.client.patch(f"{world.me}/events/{moved}", json=times)).status_code == 200
    assert (await world.client.delete(f"{world.me}/events/{cancelled}")).status_code == 204
    after = await view(world)
    assert [one["type"] for one in after] == ["occurrence", "exception", "occurrence", "occurrence"]
    assert (after[1]["id"], after[1]["originalStart"]) == (moved, "2026-10-19T07:00:00Z")
    assert {one["seriesMasterId"] for one in after} == {master}
    refused(await world.client.get(f"{world.me}/events/{cancelled}"), 404, "ErrorItemNotFound")
    await world.client.patch(f"{world.me}/events/{master}", json={"start": at("2026-10-12T10:00:00", BERLIN)})
    refused(await world.client.get(f"{world.me}/calendarView?{AUTUMN[:33]}"), 400, "ErrorInvalidParameter")


async def test_a_new_pattern_forgets_exceptions_and_a_new_end_only_those_after_it(world: World) -> None:
    master = await series(world)
    for one in (await view(world))[1:4]:
        await world.client.patch(f"{world.me}/events/{one['id']}", json={"subject": "Special"})
    ended = {**WEEKLY, "range": {"type": "endDate", "startDate": "2026-10-12", "endDate": "2026-10-27"}}
    await world.client.patch(f"{world.me}/events/{master}", json={"recurrence": ended})
    assert [one["subject"] for one in await view(world)] == ["Stand-up", "Special", "Special"]
    daily = {**WEEKLY, "pattern": {"type": "daily", "interval": 2}}
    await world.client.patch(f"{world.me}/events/{master}", json={"recurrence": daily})
    assert {one["subject"] for one in await view(world)} == {"Stand-up"}


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        ({"type": "daily", "interval": 3}, ["10-31", "11-03", "11-06"]),
        ({"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31}, ["10-31", "11-30", "12-31"]),
        ({"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["saturday"], "index": "last"}, ["10-31", "11-28", "12-26"]),
        ({"type": "absoluteYearly", "interval": 1, "dayOfMonth": 31, "month": 10}, ["10-31", "10-31", "10-31"]),
    ],
)
async def test_patterns(world: World, pattern: dict[str, Any], days: list[str]) -> None:
    recurrence = {"pattern": pattern, "range": {"type": "numbered", "startDate": "2026-10-31", "numberOfOccurrences": 3}}
    await world.post(f"{world.me}/events", event(day="2026-10-31", recurrence=recurrence))
    found = await view(world, "startDateTime=2026-10-01T00:00:00Z&endDateTime=2029-01-01T00:00:00Z")
    assert [one["start"]["dateTime"][5:10] for one in found] == days


async def test_views_are_paged_and_bounded(world: World) -> None:
    master = await series(world)
    first = await world.get(f"{world.me}/calendarView?{AUTUMN}&$top=3")
    second = await world.get(first["@odata.nextLink"])
    assert (len(first["value"]), len(second["value"]), "@odata.nextLink" in second) == (3, 2, False)
    too_long = "startDateTime=2026-01-01T00:00:00Z&endDateTime=2032-01-01T00:00:00Z"
    for path in ("calendarView", f"events/{master}/instances"):
        refused(await world.client.get(f"{world.me}/{path}?{too_long}"), 400, "ErrorCalendarViewRangeTooBig")


# --- delta -----------------------------------------------------------------------------------------------------------


async def test_the_delta_of_a_view_is_a_signal(world: World) -> None:
    await series(world)
    single = (await world.post(f"{world.me}/events", event("Once"), headers=IMMUTABLE))["id"]
    told, link = await world.changes(f"{world.me}/calendarView/delta?{AUTUMN}", headers=UTC_TIMES)
    assert [one["type"] for one in told] == ["seriesMaster", *["occurrence"] * 5, "singleInstance"]
    assert "subject" not in told[1]
    assert (await world.changes(link, headers=UTC_TIMES))[0] == []
    await world.client.delete(f"{world.me}/events/{told[2]['id']}")
    told, link = await world.changes(link, headers=UTC_TIMES)
    assert [one["type"] for one in told] == ["seriesMaster", *["occurrence"] * 4]
    await world.client.delete(f"{world.me}/events/{single}")
    told, link = await world.changes(link, headers=UTC_TIMES)
    assert [(one["id"], "@removed" in one) for one in told] == [(single, True)]


async def test_the_delta_of_a_view_takes_no_options(world: World) -> None:
    refused(await world.client.get(f"{world.me}/calendarView/delta?{AUTUMN}&$select=subject"), 400, "ErrorInvalidUrlQuery")
