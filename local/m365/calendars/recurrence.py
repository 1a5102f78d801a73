"""How a series unfolds (graph/api/resources/recurrencepattern, graph/api/resources/recurrencerange), by python-dateutil."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, Literal

from dateutil import rrule

from local.m365.wire import GraphError

_DAYS = {
    "sunday": rrule.SU,
    "monday": rrule.MO,
    "tuesday": rrule.TU,
    "wednesday": rrule.WE,
    "thursday": rrule.TH,
    "friday": rrule.FR,
    "saturday": rrule.SA,
}
_INDEX = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_FREQUENCY: dict[str, Literal[0, 1, 2, 3]] = {
    "daily": rrule.DAILY,
    "weekly": rrule.WEEKLY,
    "absoluteMonthly": rrule.MONTHLY,
    "relativeMonthly": rrule.MONTHLY,
    "absoluteYearly": rrule.YEARLY,
    "relativeYearly": rrule.YEARLY,
}
_SHORTEST_MONTH = 28


def check(recurrence: dict[str, Any], start: datetime) -> None:
    """Refuse a recurrence that Exchange would refuse. Raises GraphError 400."""
    pattern, span = recurrence.get("pattern") or {}, recurrence.get("range") or {}
    if pattern.get("type") not in _FREQUENCY or (pattern.get("interval") or 0) < 1:
        raise _invalid("The recurrence pattern is not valid.")
    if pattern["type"] in ("weekly", "relativeMonthly", "relativeYearly") and not pattern.get("daysOfWeek"):
        raise _invalid("The recurrence pattern needs days of the week.")
    if span.get("type") not in ("noEnd", "endDate", "numbered"):
        raise _invalid("The recurrence range is not valid.")
    if span.get("startDate") != start.date().isoformat():
        raise _invalid("The start date of the recurrence range must be that of the event.")
    if next(days(recurrence, start), None) is None:
        raise _invalid("The recurrence has no occurrences.")


def days(recurrence: dict[str, Any], start: datetime, *, until: date | None = None) -> Iterator[date]:
    """The local days of the occurrences of a series that starts at the wall time `start`, up to and with `until`."""
    pattern, span = recurrence["pattern"], recurrence["range"]
    kind = pattern["type"]
    rule: dict[str, Any] = {"dtstart": datetime.combine(start.date(), time()), "interval": pattern["interval"]}
    if kind == "weekly":
        rule["byweekday"] = [_DAYS[day] for day in pattern["daysOfWeek"]]
        rule["wkst"] = _DAYS[pattern.get("firstDayOfWeek") or "sunday"]
    elif kind.startswith("relative"):
        rule["byweekday"] = [_DAYS[day] for day in pattern["daysOfWeek"]]
        rule["bysetpos"] = _INDEX[pattern.get("index") or "first"]
    elif kind.startswith("absolute"):
        day = pattern["dayOfMonth"]
        if day > _SHORTEST_MONTH:  # in a month without that day Exchange takes the last one
            rule |= {"bymonthday": list(range(_SHORTEST_MONTH, day + 1)), "bysetpos": -1}
        else:
            rule["bymonthday"] = day
    if kind.endswith("Yearly"):
        rule["bymonth"] = pattern["month"]
    if span["type"] == "numbered":
        rule["count"] = span["numberOfOccurrences"]
    elif span["type"] == "endDate":
        rule["until"] = datetime.combine(date.fromisoformat(span["endDate"]), time())
    for found in rrule.rrule(_FREQUENCY[kind], **rule):
        if until is not None and found.date() > until:
            return
        yield found.date()


def between(recurrence: dict[str, Any], start: datetime, first: date, last: date) -> Iterator[date]:
    """The local days of occurrences from `first` to `last`."""
    return (day for day in days(recurrence, start, until=last) if day >= first)


def _invalid(message: str) -> GraphError:
    return GraphError(400, "ErrorPropertyValidationFailure", message)
