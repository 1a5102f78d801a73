"""What calendars hold: events, series with their exceptions, and how these stand in a view."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from local.m365.calendars import recurrence as series
from local.m365.calendars import zones
from local.m365.changes import ChangeLog
from local.m365.wire import GraphError

_DAY = timedelta(days=1)


@dataclass(slots=True, eq=False)
class Calendar:
    """A calendar. One that was deleted lies under Deleted Items: it is no longer listed, but answers by id."""

    id: str
    name: str
    color: str = "auto"
    default: bool = False
    deleted: bool = False
    extended: dict[str, str] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    log: ChangeLog[int] = field(default_factory=ChangeLog)
    gone: dict[int, int] = field(default_factory=dict)  # events that left: uid -> moves, for the id they had here


@dataclass(slots=True, eq=False)
class Event:
    """A single event or a series. `calendar` is None under Deleted Items.

    Of a series, `exceptions` holds what differs in single occurrences, and `cancelled` those that are none any more, both by the
    local day on which the pattern puts them.
    """

    uid: int
    calendar: Calendar | None
    values: dict[str, Any]
    created: datetime
    modified: datetime
    id: str
    extended: dict[str, str] = field(default_factory=dict)
    version: int = 0
    moves: int = 0
    exceptions: dict[date, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[date] = field(default_factory=set)

    @property
    def is_series(self) -> bool:
        """Whether the event recurs."""
        return bool(self.values.get("recurrence"))


@dataclass(frozen=True, slots=True)
class Shown:
    """An event as it stands in a view: a whole one (`day` is None), or an occurrence of a series by its local day."""

    event: Event
    day: date | None = None

    @property
    def values(self) -> dict[str, Any]:
        """All its values."""
        values = self.event.values
        if self.day is None:
            return values
        return {**values, **self._times(), "recurrence": None, **self.event.exceptions.get(self.day, {})}

    @property
    def type(self) -> str:
        """The type as Graph names it."""
        if self.day is None:
            return "seriesMaster" if self.event.is_series else "singleInstance"
        return "exception" if self.day in self.event.exceptions else "occurrence"

    @property
    def start(self) -> datetime:
        """The moment at which it begins."""
        return zones.moment(self.values["start"])

    @property
    def end(self) -> datetime:
        """The moment at which it ends."""
        return zones.moment(self.values["end"])

    @property
    def original_start(self) -> datetime | None:
        """When the pattern has it begin."""
        return zones.moment(self._times()["start"]) if self.day is not None else None

    def _times(self) -> dict[str, Any]:
        assert self.day is not None
        start, end = self.event.values["start"], self.event.values["end"]
        begins = datetime.combine(self.day, zones.local(start).time())
        if self.event.values.get("isAllDay"):
            ends = begins + (zones.local(end) - zones.local(start))
        else:
            length = zones.moment(end) - zones.moment(start)
            at = begins.replace(tzinfo=zones.zone_of(start)).astimezone(zones.zone("UTC")) + length
            ends = at.astimezone(zones.zone_of(end)).replace(tzinfo=None)
        return {
            "start": zones.shown(begins, start["timeZone"]),
            "end": zones.shown(ends, end["timeZone"]),
        }


def check_times(values: dict[str, Any]) -> None:
    """Refuse times that Exchange would refuse. Raises GraphError 400."""
    if not isinstance(values.get("start"), dict) or not isinstance(values.get("end"), dict):
        raise GraphError(400, "ErrorPropertyValidationFailure", "At least one property failed validation.")
    start, end = values["start"], values["end"]
    if zones.moment(end) < zones.moment(start):
        raise GraphError(400, "ErrorCalendarEndDateIsEarlierThanStartDate", "The end date is earlier than the start date.")
    if values.get("isAllDay"):
        for name in ("start", "end"):
            if zones.local(values[name]).time() != time():
                title = name.title()
                message = f"The Event.{title} property for an all-day event needs to be set to midnight."
                raise GraphError(400, "ErrorInvalidArgument", message)
        if zones.zone_of(start) != zones.zone_of(end):
            raise GraphError(400, "ErrorInvalidArgument", "Start and end of an all-day event must be in the same time zone.")
        if zones.local(end) - zones.local(start) < _DAY:
            raise GraphError(400, "ErrorInvalidArgument", "The duration of an event marked as All day must be at least 24 hours.")
    if values.get("recurrence"):
        series.check(values["recurrence"], zones.local(start))


def not_found() -> GraphError:
    """What Graph says of a calendar or event that is not there (graph/errors)."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
