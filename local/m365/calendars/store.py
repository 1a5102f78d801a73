"""The calendars of one mailbox: events, series with their exceptions, and what changed in each calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from local.m365.calendars import recurrence as series
from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Event, Shown, check_times, not_found
from local.m365.wire import GraphError

if TYPE_CHECKING:
    from local.m365.mailbox import Mailbox

_DAY = timedelta(days=1)
_TIMES = ("start", "end", "isAllDay", "recurrence")


class Calendars:
    """The calendars of one mailbox. `mailed` counts every invitation, update and cancellation that would have gone out."""

    def __init__(self, box: Mailbox) -> None:
        self.box = box
        self.mailed: dict[str, int] = {}
        self.online_meetings = 0
        self._numbers = 0
        self._calendars: dict[str, Calendar] = {}
        self._events: dict[str, Event] = {}  # by immutable id
        self._transactions: dict[str, Event] = {}
        self._other_ids: dict[str, tuple[str, date | None]] = {}  # mutable ids and those of occurrences -> immutable id, day
        self.default = self._new("Calendar")
        self.default.default = True

    # --- calendars ---------------------------------------------------------------------------------------------------

    def _new(self, name: str) -> Calendar:
        self._numbers += 1
        calendar = Calendar(self.box.token("AQMkAC", self._numbers), name)
        self._calendars[calendar.id] = calendar
        return calendar

    def listed(self) -> list[Calendar]:
        """Every calendar that is not deleted, the default one first."""
        return [calendar for calendar in self._calendars.values() if not calendar.deleted]

    def calendar(self, text: str) -> Calendar:
        """The calendar with this id, a deleted one too. Raises GraphError."""
        found = self._calendars.get(text)
        if found is None:
            if len(text) < 40 or not text.startswith("AQMkA"):
                raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")
            raise not_found()
        return found

    def named(self, name: str) -> Calendar:
        """A listed calendar by its name or id. Raises KeyError."""
        for calendar in self.listed():
            if name in (calendar.name, calendar.id):
                return calendar
        raise KeyError(name)

    def create_calendar(self, name: str, *, color: str = "auto", extended: dict[str, str] | None = None) -> Calendar:
        """Make a calendar. Raises GraphError `ErrorFolderExists` when there is one of that name."""
        self._check_name(name, None)
        calendar = self._new(name)
        calendar.color = color
        calendar.extended.update(extended or {})
        return calendar

    def rename_calendar(self, calendar: Calendar, name: str) -> None:
        """Give a calendar another name. Raises GraphError when it is taken, or for the default calendar."""
        if calendar.default:
            raise GraphError(400, "ErrorInvalidRequest", "The default calendar cannot be renamed.")
        self._check_name(name, calendar)
        calendar.name = name

    def _check_name(self, name: str, but: Calendar | None) -> None:
        if any(other is not but and other.name.casefold() == name.casefold() for other in self.listed()):
            raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def delete_calendar(self, calendar: Calendar, *, permanently: bool = False) -> None:
        """Move a calendar to Deleted Items, or remove it for good."""
        if calendar.default:
            raise GraphError(400, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        if not permanently and not calendar.deleted:
            calendar.deleted = True
            return
        for event in list(calendar.events.values()):
            self._forget(event)
        del self._calendars[calendar.id]

    # --- ids ---------------------------------------------------------------------------------------------------------

    def id_of(self, shown: Shown, *, immutable: bool) -> str:
        """The id of an event or occurrence, of either sort."""
        event, day = shown.event, shown.day
        if day is None and immutable:
            return event.id
        turn = (0 if immutable else 2 * event.moves + 1) + (day.toordinal() << 16 if day is not None else 0)
        text = self.box.token("AAkALgC" if immutable else "AAMkADC", event.uid, turn)
        self._other_ids[text] = event.id, day
        return text

    def removed_id(self, calendar: Calendar, uid: int, *, immutable: bool) -> str:
        """The id under which an event that left the calendar was known there."""
        return self.box.token(*(("AAkALgC", uid) if immutable else ("AAMkADC", uid, 2 * calendar.gone.get(uid, 0) + 1)))

    def find(self, text: str) -> Shown:
        """The event or occurrence with this id, wherever it lies. Raises GraphError."""
        key, day = self._other_ids.get(text, (text, None))
        event = self._events.get(key)
        if event is None or (day is not None and not self._occurs(event, day)):
            if len(text) < 40 or not text.startswith(("AAMkAD", "AAkALg")):
                raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")
            raise not_found()
        return Shown(event, day)

    def on_day(self, text: str, day: date | None) -> Shown:
        """The occurrence of a series on this local day, or for None the whole event. Raises GraphError."""
        shown = self.find(text)
        if day is None:
            return shown
        if shown.day is not None or not self._occurs(shown.event, day):
            raise not_found()
        return Shown(shown.event, day)

    @staticmethod
    def _occurs(event: Event, day: date) -> bool:
        if not event.is_series or day in event.cancelled:
            return False
        start = zones.local(event.values["start"])
        return next(series.between(event.values["recurrence"], start, day, day), None) is not None

    # --- events ------------------------------------------------------------------------------------------------------

    def events(self) -> list[Event]:
        """Every event and series, those under Deleted Items too."""
        return list(self._events.values())

    def create(self, calendar: Calendar, values: dict[str, Any], extended: dict[str, str] | None = None) -> Event:
        """Store an event, unless its transaction id is that of an event in a calendar: then that is the one.

        graph/api/calendar-post-events; the answer is the same either way.
        """
        transaction = values.get("transactionId")
        known = self._transactions.get(transaction) if transaction is not None else None
        if known is not None and known.calendar is not None and known.id in self._events:
            return known
        check_times(values)
        self._numbers += 1
        now = self.box.now()
        event = Event(self._numbers, calendar, values, now, now, self.box.token("AAkALgC", self._numbers), dict(extended or {}))
        if values.get("isOnlineMeeting"):
            self._meet_online(event)
        self._mail("invitations", values)
        self._events[event.id] = event
        if transaction is not None:
            self._transactions[transaction] = event
        calendar.events[event.uid] = event
        self.touch(event)
        return event

    def change(self, shown: Shown, values: dict[str, Any], extended: dict[str, str] | None = None) -> Shown:
        """Change what is named, of an event, a series or one occurrence, which becomes an exception."""
        event, day = shown.event, shown.day
        merged = {**shown.values, **values}
        check_times(merged)
        if day is None:
            self._mail("updates", {"attendees": (event.values.get("attendees") or []) + (values.get("attendees") or [])})
            was = {name: event.values.get(name) for name in _TIMES}
            event.values.update(values)
            if values.get("isOnlineMeeting") and not event.values.get("onlineMeeting"):
                self._meet_online(event)
            self._redraw(event, was)
        else:
            self._mail("updates", merged)
            event.exceptions[day] = {**event.exceptions.get(day, {}), **values}
        event.extended.update(extended or {})
        self.touch(event)
        return shown

    @staticmethod
    def _redraw(event: Event, was: dict[str, Any]) -> None:
        """Exceptions of a series are lost with its pattern or times; those that only fell off its end go alone."""
        if not was["recurrence"]:
            return
        now = {name: event.values.get(name) for name in _TIMES}
        if now == was:
            return
        old, new = was["recurrence"], now["recurrence"]
        if (
            new is None
            or old["pattern"] != new["pattern"]
            or any(now[name] != was[name] for name in ("start", "end", "isAllDay"))
        ):
            event.exceptions.clear()
            event.cancelled.clear()
            return
        start = zones.local(now["start"])
        for held in (event.exceptions, event.cancelled):
            for day in [day for day in held if next(series.between(new, start, day, day), None) is None]:
                held.pop(day) if isinstance(held, dict) else held.discard(day)

    def touch(self, event: Event) -> None:
        """Give an event a new change key; delta queries will tell of it."""
        self._numbers += 1
        event.version = self._numbers
        event.modified = self.box.now()
        if event.calendar is not None:
            event.calendar.log.note(event.uid, missed=self.box.misses("event"))

    def move(self, event: Event, calendar: Calendar) -> None:
        """Put an event into another calendar."""
        self._leave(event)
        event.moves += 1
        event.calendar = calendar
        calendar.events[event.uid] = event
        self.touch(event)

    def delete(self, shown: Shown, *, permanently: bool = False) -> None:
        """Delete an event or a series, or cancel one occurrence."""
        event, day = shown.event, shown.day
        self._mail("cancellations", shown.values)
        if day is not None:
            event.exceptions.pop(day, None)
            event.cancelled.add(day)
            self.touch(event)
        elif permanently or event.calendar is None:
            self._forget(event)
        else:
            self._leave(event)
            event.moves += 1
            event.calendar = None

    def _leave(self, event: Event) -> None:
        calendar = event.calendar
        if calendar is not None:
            del calendar.events[event.uid]
            calendar.gone[event.uid] = event.moves
            calendar.log.note(event.uid, missed=self.box.misses("event"))
        self._other_ids = {text: place for text, place in self._other_ids.items() if place[0] != event.id}

    def _forget(self, event: Event) -> None:
        self._leave(event)
        del self._events[event.id]

    def _mail(self, what: str, values: dict[str, Any]) -> None:
        count = len(values.get("attendees") or [])
        if count:
            self.mailed[what] = self.mailed.get(what, 0) + count

    def _meet_online(self, event: Event) -> None:
        self.online_meetings += 1
        link = f"https://teams.microsoft.com/l/meetup-join/{uuid5(NAMESPACE_OID, f'{self.box.owner}/{event.uid}')}"
        event.values |= {"onlineMeeting": {"joinUrl": link}, "onlineMeetingProvider": "teamsForBusiness"}

    # --- views -------------------------------------------------------------------------------------------------------

    def view(self, calendar: Calendar, start: datetime, end: datetime) -> Iterator[Shown]:
        """Everything in a calendar that lies in a window, series as their occurrences."""
        for event in list(calendar.events.values()):
            yield from self.unfolded(event, start, end)

    @staticmethod
    def unfolded(event: Event, start: datetime, end: datetime) -> Iterator[Shown]:
        """What of an event lies in a window. A moved occurrence lies where it was moved to."""
        found: Iterator[Shown]
        if not event.is_series:
            found = iter([Shown(event)])
        else:
            wall = zones.local(event.values["start"])
            length = abs(zones.moment(event.values["end"]) - zones.moment(event.values["start"]))
            first, last = (start - length - 2 * _DAY).date(), (end + 2 * _DAY).date()
            near = set(series.between(event.values["recurrence"], wall, first, last)) | event.exceptions.keys()
            found = (Shown(event, day) for day in sorted(near - event.cancelled))
        for shown in found:
            begins, ends = shown.start, shown.end
            if begins < end and (ends > start or begins == ends == start):
                yield shown

    # --- what happens to mailboxes -----------------------------------------------------------------------------------

    def bump_change_keys(self) -> None:
        """Give every event a new change key without changing it."""
        for event in self._events.values():
            self.touch(event)

    def change_item_ids(self) -> None:
        """Give every event a new id; calendars keep theirs."""
        self._other_ids.clear()
        for event in self.events():
            del self._events[event.id]
            event.id = self.box.token("AAkALgC", event.uid)
            self._events[event.id] = event
