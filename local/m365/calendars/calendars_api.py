"""Calendars over Graph.

graph/api/resources/calendar, graph/api/user-list-calendars, graph/api/user-post-calendars, graph/api/calendar-get,
graph/api/calendar-update, graph/api/calendar-delete.
"""

from __future__ import annotations

from typing import Any

from local.m365 import odata, schema
from local.m365.calendars.events import Calendar
from local.m365.call import Call
from local.m365.outlook import chosen, context, extended_values, page
from local.m365.wire import GraphError, Reply


def list_calendars(call: Call) -> Reply:
    """The calendars of a mailbox, the default one too."""
    odata.allow(call.query, "$select", "$expand", "$filter", "$top", "$skip", "$count")
    found = call.box.calendars.listed()
    if "$filter" in call.query:
        predicate = odata.read_filter(call.query["$filter"], "calendar")
        found = [one for one in found if predicate({**_fields(call, one), odata.EXTENDED: one.extended})]
    return page(call, found, "calendars", lambda one: show_calendar(call, one))


def get_calendar(call: Call) -> Reply:
    """One calendar; a deleted one answers by its id too."""
    odata.allow(call.query, "$select", "$expand")
    return _reply(call, 200, call.box.calendars.calendar(call.params[1]))


def get_default(call: Call) -> Reply:
    """The default calendar."""
    odata.allow(call.query, "$select", "$expand")
    return _reply(call, 200, call.box.calendars.default)


def create_calendar(call: Call) -> Reply:
    """Make a calendar."""
    odata.allow(call.query)
    name, color, extended = calendar_values(call.body)
    if not name:
        raise GraphError(400, "ErrorInvalidRequest", "The name of a calendar must not be empty.")
    calendar = call.box.calendars.create_calendar(name, color=color or "auto", extended=extended)
    return Reply(201, {"@odata.context": context(call, "calendars", "/$entity"), **_fields(call, calendar)})


def update_calendar(call: Call) -> Reply:
    """Rename or colour a calendar, or set its extended properties."""
    odata.allow(call.query)
    calendar = call.box.calendars.calendar(call.params[1])
    name, color, extended = calendar_values(call.body)
    if name:
        call.box.calendars.rename_calendar(calendar, name)
    if color:
        calendar.color = color
    calendar.extended.update(extended)
    return Reply(200, {"@odata.context": context(call, "calendars", "/$entity"), **_fields(call, calendar)})


def delete_calendar(call: Call) -> Reply:
    """Move a calendar to Deleted Items."""
    odata.allow(call.query)
    call.box.calendars.delete_calendar(call.box.calendars.calendar(call.params[1]))
    return Reply(204)


def show_calendar(call: Call, calendar: Calendar) -> dict[str, Any]:
    """A calendar as the query asks for it."""
    return chosen(call, "calendar", _fields(call, calendar), calendar.extended)


def _reply(call: Call, status: int, calendar: Calendar) -> Reply:
    return Reply(status, {"@odata.context": context(call, "calendars", "/$entity"), **show_calendar(call, calendar)})


def calendar_values(body: Any) -> tuple[str, str, dict[str, str]]:
    """Check the body of a POST or PATCH: name, colour ("" when it is not given) and extended properties. Raises GraphError."""
    schema.check_body("calendar", body)
    color = body.get("color") or ""
    return str(body.get("name") or "").strip(), color, extended_values(body)


def _fields(call: Call, calendar: Calendar) -> dict[str, Any]:
    return {
        "id": calendar.id,
        "name": calendar.name,
        "color": calendar.color,
        "hexColor": "",
        "isDefaultCalendar": calendar.default,
        "isRemovable": not calendar.default,
        "canEdit": True,
        "canShare": True,
        "canViewPrivateItems": True,
        "owner": {"name": call.box.owner, "address": f"{call.box.owner}@example.invalid"},
    }
