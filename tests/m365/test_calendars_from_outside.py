"""Calendars in tenant files, and what another process does to them over `/control`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.clock import SystemClock
from local.m365 import tenant_file
from local.m365.control import switches
from local.m365.service import Microsoft365
from local.m365.tenant_install import install
from local.m365.wire import Reply, Request
from tests.m365.conftest import TENANT, World

BERLIN = "W. Europe Standard Time"
SERIES: dict[str, Any] = {
    "subject": "All hands",
    "start": {"dateTime": "2026-10-20T10:00:00", "timeZone": BERLIN},
    "end": {"dateTime": "2026-10-20T11:00:00", "timeZone": BERLIN},
    "recurrence": {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
        "range": {"type": "numbered", "startDate": "2026-10-20", "numberOfOccurrences": 4},
    },
    "attendees": [{"emailAddress": {"address": "all@contoso.example"}, "type": "required"}],
}
MOVED = {
    "start": {"dateTime": "2026-10-28T15:00:00", "timeZone": BERLIN},
    "end": {"dateTime": "2026-10-28T16:00:00", "timeZone": BERLIN},
}
TURNED = {"start": SERIES["end"], "end": SERIES["start"]}
AUTUMN = "startDateTime=2026-10-10T00:00:00Z&endDateTime=2026-12-01T00:00:00Z"


def file_with(**user: Any) -> dict[str, Any]:
    return {"id": TENANT, "displayName": "Contoso", "users": [{"userPrincipalName": "e@contoso.example", **user}]}


def control(world: World, *operations: dict[str, Any]) -> Reply:
    order = {"tenant": TENANT, "user": world.user, "operations": operations}
    return switches.handle(world.service, Request("POST", "/control/mailbox", body=json.dumps(order).encode()))


def act(world: World, *operations: dict[str, Any]) -> list[str]:
    reply = control(world, *operations)
    assert reply.status == 200, reply.content
    ids: list[str] = reply.content["ids"]
    return ids


async def shown(world: World, calendar: str) -> list[tuple[str, str]]:
    found = await world.get(f"{world.me}/calendars/{calendar}/calendarView?{AUTUMN}&$top=100")
    return [(one["subject"], one["start"]["dateTime"][:16]) for one in found["value"]]


def test_a_file_names_calendars_with_series_and_their_exceptions() -> None:
    series = SERIES | {"exceptions": {"2026-10-27": MOVED}, "cancelled": ["2026-11-03"]}
    file = file_with(
        events=[{**SERIES, "recurrence": None}], calendars=[{"name": "Company", "color": "lightGreen", "events": [series]}]
    )
    tenant = install(Microsoft365(SystemClock()), tenant_file.parse(json.dumps(file).encode()))
    (user,) = tenant.mailboxes
    calendars = tenant.calendars(user)
    company = calendars.named("Company")
    assert company.color == "lightGreen"
    (event,) = company.events.values()
    assert {str(day): values["start"]["dateTime"] for day, values in event.exceptions.items()} == {
        "2026-10-27": "2026-10-28T15:00:00"
    }
    assert [str(day) for day in event.cancelled] == ["2026-11-03"]
    assert len(calendars.default.events) == 1
    assert tenant.mailed() == {}


@pytest.mark.parametrize(
    ("user", "place"),
    [
        ({"events": [{"subject": "No times"}]}, r"users\.0\.events\.0: "),
        ({"events": [{**SERIES, "shoeSize": 44}]}, r"users\.0\.events\.0: .*shoeSize"),
        ({"events": [{**SERIES, "exceptions": {"2026-10-27": TURNED}}]}, r"users\.0\.events\.0: exceptions\.2026-10-27: "),
        ({"events": [{**SERIES, "cancelled": ["2026-10-28"]}]}, r"users\.0\.events\.0\.cancelled: .*2026-10-28"),
        ({"events": [{**SERIES, "exceptions": {"2026-12-29": {"subject": "x"}}}]}, r"users\.0\.events\.0\.exceptions: "),
        ({"calendars": [{"name": "X", "color": "red"}]}, r"users\.0\.calendars\.0: .*color"),
        ({"calendars": [{"name": "X"}, {"name": "x"}]}, r"users\.0\.calendars\.1\.name: "),
        ({"calendars": [{"name": "X", "owner": "me"}]}, r"users\.0\.calendars\.0\.owner: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calendar_is_named(user: dict[str, Any], place: str) -> None:
    with pytest.raises(tenant_file.TenantFileError, match=place):
        install(Microsoft365(SystemClock()), tenant_file.parse(file_with(**user)))


async def test_another_process_keeps_calendars_as_a_user_would(world: World) -> None:
    team, other = act(
        world, {"op": "createCalendar", "name": "Team", "color": "lightBlue"}, {"op": "createCalendar", "name": "Other"}
    )
    (series,) = act(world, {"op": "createEvent", "calendar": "Team", "values": SERIES})
    act(
        world,
        {"op": "editEvent", "event": series, "day": "2026-10-27", "values": MOVED},
        {"op": "deleteEvent", "event": series, "day": "2026-11-03"},
    )
    moved = [("All hands", "2026-10-20T08:00"), ("All hands", "2026-10-28T14:00"), ("All hands", "2026-11-10T09:00")]
    assert await shown(world, team) == moved
    act(
        world,
        {"op": "editEvent", "event": series, "values": {"subject": "Everybody"}},
        {"op": "moveEvent", "event": series, "calendar": "Other"},
    )
    assert await shown(world, team) == []
    assert await shown(world, other) == [("Everybody", when) for _, when in moved]
    act(world, {"op": "renameCalendar", "calendar": "Other", "name": "Mine"}, {"op": "deleteEvent", "event": series})
    assert await shown(world, other) == []
    act(world, {"op": "deleteCalendar", "calendar": "Mine"}, {"op": "createEvent", "values": SERIES})
    picture = switches.handle(world.service, Request("GET", f"/control/mailbox?tenant={TENANT}&user={world.user}")).content
    assert [(one["name"], len(one["events"])) for one in picture["calendars"]] == [("Calendar", 1), ("Team", 0)]


async def test_mails_are_counted_and_counted_from_zero(world: World) -> None:
    def mails() -> Any:
        return switches.handle(world.service, Request("GET", "/control/counters")).content["mails"]

    act(world, {"op": "createEvent", "values": SERIES})
    assert mails() == {TENANT: {"invitations": 1}}
    assert switches.handle(world.service, Request("POST", "/control/counters/reset")).status == 204
    assert mails() == {TENANT: {}}


@pytest.mark.parametrize(
    ("operation", "status", "words"),
    [
        (lambda series: {"op": "editEvent", "event": series, "day": "2026-10-28", "values": {"subject": "x"}}, 404, "not found"),
        (lambda series: {"op": "editEvent", "event": series, "values": {"shoeSize": 44}}, 400, "shoeSize"),
        (lambda series: {"op": "deleteEvent", "event": series, "day": "soon"}, 400, "day"),
        (lambda series: {"op": "moveEvent", "event": series, "calendar": "Nowhere"}, 404, "Nowhere"),
        (lambda series: {"op": "createEvent", "values": {"subject": series}}, 400, "validation"),
        (lambda series: {"op": "createCalendar", "name": series, "color": "red"}, 400, "color"),
        (lambda series: {"op": "deleteCalendar", "calendar": "Calendar", "permanently": bool(series)}, 400, "cannot be deleted"),
    ],
)  # fmt: skip
async def test_control_of_calendars_says_what_is_wrong(
    world: World, operation: Callable[[str], dict[str, Any]], status: int, words: str
) -> None:
    (series,) = act(world, {"op": "createEvent", "values": SERIES})
    reply = control(world, operation(series))
    assert reply.status == status
    assert words in reply.content["error"]["message"]
