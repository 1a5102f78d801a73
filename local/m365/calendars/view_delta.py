"""The delta query over a view of a calendar, with its weaknesses (graph/api/event-delta, graph/delta-query-events).

The window is frozen in the token. Occurrences come as stubs behind their series, which is told again as a whole whenever anything
in it changes; of an occurrence that is none any more nothing is said. Whatever leaves the calendar or the window is said to be
removed.
"""

from __future__ import annotations

from typing import Any

import orjson

from local.m365 import delta, odata
from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Event, Shown
from local.m365.calendars.events_api import calendar_at, calendars, check_window, page_size, show
from local.m365.calendars.store import Calendars
from local.m365.call import Call
from local.m365.outlook_delta import resume, tell
from local.m365.wire import GraphError, Reply

_STUB = ("@odata.etag", "id", "seriesMasterId", "type", "start", "end")


def default_delta(call: Call) -> Reply:
    """The delta over the default calendar."""
    return _delta(call, calendars(call).default)


def calendar_delta(call: Call) -> Reply:
    """The delta over one calendar."""
    return _delta(call, calendar_at(call))


def _delta(call: Call, calendar: Calendar) -> Reply:
    for name in ("$select", "$expand", "$filter", "$orderby", "$search"):
        if name in call.query:
            message = f"The query parameter '{name}' is not supported with the delta function on a calendar view."
            raise GraphError(400, "ErrorInvalidUrlQuery", message)
    resource = f"{call.box.owner}/{calendar.id}"
    token = resume(call, resource)
    if token is None:
        odata.allow(call.query, "startdatetime", "enddatetime", "$deltatoken", "$skiptoken")
        window = [zones.asked(call.query.get(name), name) for name in ("startdatetime", "enddatetime")]
        check_window(window[1] - window[0])
        frozen = orjson.dumps([at.isoformat() for at in window]).decode()
        token = delta.Token(resource, 0, base=calendar.log.sequence, select=frozen)
    token.page = call.prefer.max_page or token.page or page_size(call)
    start, end = (zones.asked(at, "token") for at in orjson.loads(token.select))
    immutable = call.prefer.immutable_ids

    def lines(uid: int) -> list[dict[str, Any]]:
        event = calendar.events.get(uid)
        return [] if event is None else _lines(call, event, list(Calendars.unfolded(event, start, end)))

    def removed_id(uid: int) -> str:
        return calendars(call).removed_id(calendar, uid, immutable=immutable)

    return tell(call, token, calendar.log, "event", lines, removed_id)


def _lines(call: Call, event: Event, unfolded: list[Shown]) -> list[dict[str, Any]]:
    """What is told of one event: a series before its occurrences."""
    if not unfolded:
        return []
    if not event.is_series:
        return [show(call, unfolded[0])]
    lines = [show(call, Shown(event))]
    for one in unfolded:
        whole = show(call, one)
        lines.append(whole if one.type == "exception" else {name: whole[name] for name in _STUB if name in whole})
    return lines
