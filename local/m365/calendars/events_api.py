"""Events over Graph.

graph/api/resources/event, graph/api/calendar-post-events, graph/api/calendar-list-events, graph/api/event-update,
graph/api/event-delete, graph/api/event-permanentdelete, graph/api/event-list-instances.
"""

from __future__ import annotations

import re
from collections import ChainMap
from datetime import timedelta
from html import escape, unescape
from typing import Any

from local.m365 import odata, schema
from local.m365.calendars import zones
from local.m365.calendars.calendars_api import show_calendar
from local.m365.calendars.events import Calendar, Shown, not_found
from local.m365.calendars.store import Calendars
from local.m365.call import Call
from local.m365.outlook import LARGEST_PAGE, PAGE, chosen, context, extended_values, page
from local.m365.wire import GraphError, Reply

LONGEST_VIEW = timedelta(days=1825)
EMPTY: dict[str, Any] = {
    "subject": "",
    "categories": [],
    "showAs": "busy",
    "sensitivity": "normal",
    "importance": "normal",
    "isAllDay": False,
    "isCancelled": False,
    "isReminderOn": True,
    "reminderMinutesBeforeStart": 15,
    "responseRequested": True,
    "isOnlineMeeting": False,
    "onlineMeeting": None,
    "onlineMeetingProvider": "unknown",
    "onlineMeetingUrl": None,
    "attendees": [],
    "locations": [],
    "recurrence": None,
    "transactionId": None,
    "allowNewTimeProposals": True,
    "hideAttendees": False,
    "hasAttachments": False,
    "isDraft": False,
    "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
}
_COLLECTIONS = ("categories", "attendees", "locations")
_TAGS = re.compile(r"<(?:br|/p|/div|/tr|/h\d)[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def list_default(call: Call) -> Reply:
    """Events and series of the default calendar."""
    return _list(call, calendars(call).default)


def list_in_calendar(call: Call) -> Reply:
    """Events and series of a calendar."""
    return _list(call, calendar_at(call))


def _list(call: Call, calendar: Calendar) -> Reply:
    odata.allow(call.query, "$select", "$expand", "$filter", "$top", "$skip", "$count")
    found = [Shown(event) for event in calendar.events.values()]
    if "$filter" in call.query:
        predicate = odata.read_filter(call.query["$filter"], "event")
        found = [one for one in found if predicate(ChainMap({odata.EXTENDED: one.event.extended}, one.values, EMPTY))]
    return page(call, found, "events", lambda one: answer(call, one))


def view_default(call: Call) -> Reply:
    """What is in the default calendar between two moments."""
    return _view(call, calendars(call).default)


def view_in_calendar(call: Call) -> Reply:
    """What is in a calendar between two moments."""
    return _view(call, calendar_at(call))


def _view(call: Call, calendar: Calendar) -> Reply:
    odata.allow(call.query, "$select", "$expand", "$top", "$skip", "$count", "startdatetime", "enddatetime")
    start, end = (zones.asked(call.query.get(name), name) for name in ("startdatetime", "enddatetime"))
    check_window(end - start)
    found = sorted(calendars(call).view(calendar, start, end), key=lambda one: one.start)
    return page(call, found, "calendarView", lambda one: answer(call, one))


def check_window(length: timedelta) -> None:
    """Refuse a window that is empty or too long. Raises GraphError."""
    if length <= timedelta():
        raise GraphError(400, "ErrorInvalidParameter", "The end of the window must be after its start.")
    if length > LONGEST_VIEW:
        raise GraphError(400, "ErrorCalendarViewRangeTooBig", "The requested date range is too large: at most 1825 days.")


def instances(call: Call) -> Reply:
    """The occurrences of a series between two moments."""
    odata.allow(call.query, "$select", "$expand", "$top", "$skip", "startdatetime", "enddatetime")
    shown = event_at(call)
    if not shown.event.is_series or shown.day is not None:
        raise GraphError(400, "ErrorInvalidRequest", "Only a series has instances.")
    start, end = (zones.asked(call.query.get(name), name) for name in ("startdatetime", "enddatetime"))
    check_window(end - start)
    found = list(Calendars.unfolded(shown.event, start, end))
    return page(call, found, "instances", lambda one: answer(call, one))


def get_event(call: Call) -> Reply:
    """One event or occurrence, wherever it lies."""
    odata.allow(call.query, "$select", "$expand")
    return _reply(call, 200, event_at(call))


def calendar_of(call: Call) -> Reply:
    """The calendar that an event is in; an event under Deleted Items is in none."""
    odata.allow(call.query, "$select", "$expand")
    calendar = calendars(call).find(call.params[-1]).event.calendar
    if calendar is None:
        raise not_found()
    return Reply(200, {"@odata.context": context(call, "calendars", "/$entity"), **show_calendar(call, calendar)})


def create_default(call: Call) -> Reply:
    """Make an event in the default calendar."""
    return _create(call, calendars(call).default)


def create_in_calendar(call: Call) -> Reply:
    """Make an event in a calendar."""
    return _create(call, calendar_at(call))


def _create(call: Call, calendar: Calendar) -> Reply:
    odata.allow(call.query)
    values, extended = event_values(call.body)
    shown = Shown(calendars(call).create(calendar, values, extended))
    made = _reply(call, 201, shown)
    made.headers["Location"] = f"{call.base}/v1.0/users/{call.box.owner}/events/{made.content['id']}"
    return made


def update_event(call: Call) -> Reply:
    """Change the properties that the body names."""
    odata.allow(call.query)
    if isinstance(call.body, dict) and "transactionId" in call.body:
        raise GraphError(400, "ErrorInvalidPropertySet", "The transaction id of an event cannot be changed.")
    shown = event_at(call)
    wanted = call.headers.get("if-match")
    if wanted not in (None, "*", etag(call, shown)):
        message = "The change key passed in the request does not match."
        raise GraphError(412, "ErrorIrresolvableConflict", message)
    values, extended = event_values(call.body)
    if shown.values.get("isAllDay") and ("start" in values) != ("end" in values):
        message = "Start and end of an all-day event must be changed together."  # graph/api/event-update
        raise GraphError(400, "ErrorInvalidArgument", message)
    return _reply(call, 200, calendars(call).change(shown, values, extended))


def delete_event(call: Call) -> Reply:
    """Move an event to Deleted Items, or cancel an occurrence."""
    odata.allow(call.query)
    calendars(call).delete(event_at(call))
    return Reply(204)


def destroy_event(call: Call) -> Reply:
    """Remove an event for good."""
    odata.allow(call.query)
    calendars(call).delete(event_at(call), permanently=True)
    return Reply(204)


def refuse_group(_call: Call) -> Reply:
    """Group calendars take no application permissions (graph/api/group-list-calendarview)."""
    raise GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def calendars(call: Call) -> Calendars:
    """The calendars of the mailbox that the path names."""
    return call.box.calendars


def calendar_at(call: Call) -> Calendar:
    """The calendar that the path names."""
    return calendars(call).calendar(call.params[1])


def event_at(call: Call) -> Shown:
    """The event that the path names: anywhere in the mailbox, or only in the calendar that the path names as well."""
    shown = calendars(call).find(call.params[-1])
    if len(call.params) > 2 and shown.event.calendar is not calendar_at(call):
        raise not_found()
    return shown


def answer(call: Call, shown: Shown) -> dict[str, Any]:
    """An event as the query asks for it."""
    return chosen(call, "event", show(call, shown), shown.event.extended)


def etag(call: Call, shown: Shown) -> str:
    """The event's etag."""
    return f'W/"{call.box.key_of(shown.event.version, shown.event.uid)}"'


def show(call: Call, shown: Shown) -> dict[str, Any]:
    """All of an event but its extended properties."""
    event, values = shown.event, shown.values
    prefer = call.prefer
    immutable = prefer.immutable_ids
    found = {
        "@odata.etag": etag(call, shown),
        "id": calendars(call).id_of(shown, immutable=immutable),
        "createdDateTime": f"{event.created:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "lastModifiedDateTime": f"{event.modified:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "changeKey": call.box.key_of(event.version, event.uid),
        "iCalUId": i_cal_uid(shown),
        "type": shown.type,
        "seriesMasterId": None,
        "isOrganizer": (values.get("responseStatus") or {}).get("response", "organizer") == "organizer",
        "organizer": {"emailAddress": {"name": call.box.owner, "address": f"{call.box.owner}@example.invalid"}},
        "webLink": f"https://outlook.office365.com/owa/?itemid={event.uid}&path=/calendar/item",
        "location": {"displayName": "", "locationType": "default"},
        **EMPTY,
        **values,
        # an event that another program has made may be of a zone that Graph does not take
        "originalStartTimeZone": values.get("originalStartTimeZone") or values["start"]["timeZone"],
        "originalEndTimeZone": values.get("originalEndTimeZone") or values["end"]["timeZone"],
    }
    if shown.day is not None:
        found["seriesMasterId"] = calendars(call).id_of(Shown(event), immutable=immutable)
    if (original := shown.original_start) is not None:
        found["originalStart"] = f"{original:%Y-%m-%dT%H:%M:%SZ}"
    name = prefer.time_zone or "UTC"
    for side in ("start", "end"):
        # an all-day event is on the same days wherever one looks from
        at = zones.local(values[side]) if values.get("isAllDay") else zones.moment(values[side])
        found[side] = zones.shown(at, name)
    text = values.get("body") or {"contentType": "html", "content": ""}
    found["body"] = as_text(text) if prefer.text_bodies else _as_html(text)
    found["bodyPreview"] = as_text(text)["content"][:255]
    return found


def i_cal_uid(shown: Shown) -> str:
    """The id of an event across calendars; each occurrence has its own."""
    day = f"{shown.day:%Y%m%d}" if shown.day is not None else "0" * 8
    return f"040000008200E00074C5B7101A82E008{day}{shown.event.created.timestamp():.0f}{shown.event.uid:010d}"


def event_values(body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Check the body of a POST or PATCH and split off the extended properties."""
    schema.check_body("event", body)
    values = {name: value for name, value in body.items() if name not in (odata.EXTENDED, "@odata.type")}
    for name in _COLLECTIONS:
        if name in values and values[name] is None:
            values[name] = []
    if values.get("location"):
        name = values["location"].get("displayName") or ""
        values["location"] = {"displayName": name, "locationType": "default", "uniqueId": name, "uniqueIdType": "private"}
        values["locations"] = [values["location"]] if name else []
    return values, extended_values(body)


def as_text(body: dict[str, Any]) -> dict[str, str]:
    """A body as text."""
    content = body.get("content") or ""
    if str(body.get("contentType")).lower() == "html":
        content = unescape(_TAG.sub("", _TAGS.sub("\n", content)))
    # Exchange ends lines its own way, and adds one
    lines = "\r\n".join(line.rstrip() for line in content.splitlines())
    return {"contentType": "text", "content": f"{lines}\r\n" if lines else ""}


def _as_html(body: dict[str, Any]) -> dict[str, str]:
    content = body.get("content") or ""
    if str(body.get("contentType")).lower() != "html":
        content = "<html><body>" + "<br>\r\n".join(escape(line) for line in content.splitlines()) + "</body></html>"
    return {"contentType": "html", "content": content}


def _reply(call: Call, status: int, shown: Shown) -> Reply:
    found = answer(call, shown)
    return Reply(status, {"@odata.context": context(call, "events", "/$entity"), **found}, {"ETag": found["@odata.etag"]})


def page_size(call: Call) -> int:
    """How many objects a page of a delta may hold."""
    return min(call.prefer.max_page or PAGE, LARGEST_PAGE)
