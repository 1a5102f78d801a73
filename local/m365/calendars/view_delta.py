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
from local.m365.calendars.events_api import calendar_at, calendars, check_window, page_size, show
from local.m365.calendars.store import Calendar, Calendars, Event, Shown
from local.m365.call import Call
from local.m365.faults import FaultKind
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
    faults = call.service.faults
    resource = f"{call.box.owner}/{calendar.id}"
    text = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    if text:
        odata.allow(call.query, "$deltatoken", "$skiptoken")
        token = delta.decode(text, resource)
        struck = faults.strike(frozenset({FaultKind.TOKEN_EXPIRED}), call)
        if struck is not None:
            raise delta.expired(struck.style, call.link("$deltatoken="))
        if token.final:
            token.base, token.full, token.final = token.position, False, False
            if faults.strike(frozenset({FaultKind.REPLAYED}), call):
                token.position = token.base = max(0, token.position - 5)
    else:
        odata.allow(call.query, "startdatetime", "enddatetime", "$deltatoken", "$skiptoken")
        window = [zones.asked(call.query.get(name), name) for name in ("startdatetime", "enddatetime")]
        check_window(window[1] - window[0])
        frozen = orjson.dumps([at.isoformat() for at in window]).decode()
        token = delta.Token(resource, 0, base=calendar.log.sequence, select=frozen)
    token.issued = call.service.now().timestamp()
    token.page = call.prefer.max_page or token.page or page_size(call)
    content: dict[str, Any] = {"@odata.context": call.context("Collection(event)"), "value": []}
    if faults.strike(frozenset({FaultKind.EMPTY_PAGE}), call):
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
        return Reply(200, content)
    start, end = (zones.asked(at, "token") for at in orjson.loads(token.select))
    told: list[dict[str, Any]] = content["value"]
    more = False
    for change in calendar.log.since(token.position, token.base, None, full=token.full):
        if len(told) >= token.page:  # a series stays with its occurrences, so that a page may be longer
            more = True
            break
        token.position = change.sequence
        event = calendar.events.get(change.key)
        lines = [] if event is None else _lines(call, event, list(Calendars.unfolded(event, start, end)))
        if lines:
            told += lines
        elif not token.full or change.sequence > token.base:
            key = calendars(call).removed_id(calendar, change.key, immutable=call.prefer.immutable_ids)
            told.append({"@odata.type": "#microsoft.graph.event", "id": key, "@removed": {"reason": "deleted"}})
    if told and faults.strike(frozenset({FaultKind.REPEATED}), call):
        told.append(told[0])
    if more:
        content["@odata.nextLink"] = call.link(f"$skiptoken={token.encode()}")
    else:
        token.position, token.final = max(token.position, calendar.log.sequence), True
        content["@odata.deltaLink"] = call.link(f"$deltatoken={token.encode()}")
    return Reply(200, content)


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
