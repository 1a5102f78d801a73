"""What those do who book the room."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Event, Shown
from local.m365.calendars.store import Calendars
from local.m365.wire import GraphError
from tests.engine.calendar_machine.deeds import FIRED, deed
from tests.engine.calendar_machine.oracle import AHEAD, BACK
from tests.engine.machine.ending import Ending
from tests.engine.machine.events import chance, some
from tests.engine.rooms import BERLIN, stamp, window

ZONES = (
    *(BERLIN, "Eastern Standard Time", "Tokyo Standard Time", "UTC", "India Standard Time", "Lord Howe Standard Time"),
    "Europe/Paris",
)
LOOKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "private": {"sensitivity": "private"},
    "confidential": {"sensitivity": "confidential"},
    "free": {"showAs": "free"},
    "tentative": {"showAs": "tentative"},
    "declined": {"responseStatus": {"response": "declined"}},
    "team": {"categories": ["Team"]},
    "other": {"categories": ["Other", "Team"]},
    "online": {"onlineMeeting": {"joinUrl": "https://teams.example/1"}},
}
_GUEST = [{"emailAddress": {"name": "Guest", "address": "guest@partner.example"}, "type": "required"}]
_DAY = timedelta(days=1)

days = st.integers(-6, 20)
hours = st.integers(0, 23)
looks = st.one_of(st.just("plain"), st.sampled_from(sorted(LOOKS)))


class Bookings(Ending):
    """A room, whose calendars are the sources."""

    room: str
    calendars: list[Calendar]
    serial: int

    def kept(self, user: str) -> Calendars:
        """A user's calendars."""
        return self.tenant.calendars(user)

    def events(self) -> list[Event]:
        """Everything in the sources."""
        return [event for calendar in self.calendars for event in calendar.events.values()]

    def times(self, day: int, hour: int, minutes: int, zone: int, *, whole: bool) -> dict[str, Any]:
        """When an event is, so many days from now."""
        name = ZONES[zone % len(ZONES)]
        begins = datetime.combine(self.clock.now().date() + timedelta(days=day), datetime.min.time())
        length = timedelta(days=1 + minutes // 60) if whole else timedelta(minutes=minutes)
        begins += timedelta(hours=0 if whole else hour, minutes=0 if whole else 30 * (hour % 2))
        return {"start": stamp(begins, name), "end": stamp(begins + length, name), "isAllDay": whole}

    def name(self) -> str:
        """A subject that nothing else has."""
        self.serial += 1
        return f"Event {self.serial}"

    @deed(3, day=days, hour=hours, minutes=st.sampled_from([0, 30, 60, 180]), zone=some, whole=chance, look=looks)
    def book(self, day: int, hour: int, minutes: int, zone: int, whole: bool = False, look: str = "plain") -> None:
        """Somebody books the room once."""
        values = self.times(day, hour, minutes, zone, whole=whole)
        text = {"contentType": "text", "content": "Agenda"}
        more = {"attendees": _GUEST, "location": {"displayName": "Linden"}, "body": text, **LOOKS[look]}
        self.kept(self.room).create(self.calendars[zone % len(self.calendars)], {"subject": self.name(), **values, **more})

    @deed(
        2,
        day=days,
        hour=hours,
        zone=some,
        pattern=st.sampled_from(["daily", "weekly", "absoluteMonthly"]),
        end=st.sampled_from(["noEnd", "numbered", "endDate"]),
        whole=chance,
    )
    def repeat(self, day: int, hour: int, zone: int, pattern: str, end: str, whole: bool) -> None:
        """Somebody books the room again and again."""
        self._series(self.times(day, hour, 60, zone, whole=whole), pattern, end)

    def _series(self, values: dict[str, Any], pattern: str, end: str) -> None:
        first = zones.local(values["start"]).date()
        recurrence = {
            "pattern": {
                "type": pattern,
                "interval": 2 if pattern == "daily" and end == "numbered" else 1,
                "daysOfWeek": [f"{first:%A}".lower()] if pattern == "weekly" else [],
                "dayOfMonth": first.day,
            },
            "range": {
                "type": end,
                "startDate": first.isoformat(),
                "numberOfOccurrences": 5,
                "endDate": (first + timedelta(days=9)).isoformat(),
            },
        }
        self.kept(self.room).create(self.calendars[0], {**values, "subject": self.name(), "recurrence": recurrence})

    def pick(self, which: int, at: int, *, occurrence: bool) -> Shown | None:
        """An event, or one occurrence of a series."""
        found = [event for event in self.events() if event.is_series or not occurrence]
        if not found:
            return None
        event = found[which % len(found)]
        if not occurrence:
            return Shown(event)
        start, end = window(self.clock.now(), BACK + 1, AHEAD + 1)
        shown = list(self.kept(self.room).unfolded(event, start, end))
        return shown[at % len(shown)] if shown else None

    @deed(3, which=some, at=some, occurrence=chance, act=st.sampled_from(["rename", "later", "days", "zone"]), look=looks)
    def edit(self, which: int, at: int, occurrence: bool, act: str, look: str = "plain") -> None:
        """Somebody changes an event, a series or one occurrence."""
        shown = self.pick(which, at, occurrence=occurrence)
        if shown is None:
            return
        values = shown.values
        changed: dict[str, Any] = {"subject": self.name(), **LOOKS[look]}
        by = timedelta(days=1 + at % 3) if act == "days" else timedelta(hours=1 + at % 5)
        if act in ("days", "later") and not (act == "later" and values.get("isAllDay")):
            times = {side: stamp(zones.local(values[side]) + by, values[side]["timeZone"]) for side in ("start", "end")}
            changed |= times
            if shown.day is None and shown.event.is_series:
                first = zones.local(times["start"]).date().isoformat()
                recurrence = values["recurrence"]
                changed["recurrence"] = {**recurrence, "range": {**recurrence["range"], "startDate": first}}
        elif act == "zone" and shown.day is None:
            changed |= {side: {**values[side], "timeZone": ZONES[at % len(ZONES)]} for side in ("start", "end")}
        try:
            self.kept(self.room).change(shown, changed)
        except GraphError:
            FIRED["refused by Exchange"] += 1

    @deed(2, which=some, at=some, occurrence=chance)
    def cancel(self, which: int, at: int, occurrence: bool) -> None:
        """Somebody cancels one occurrence, or deletes an event."""
        shown = self.pick(which, at, occurrence=occurrence)
        if shown is not None:
            self.kept(self.room).delete(shown, permanently=at % 2 == 0)

    @deed(which=some, at=some, hour=hours)
    def this_and_following(self, which: int, at: int, hour: int) -> None:
        """A series ends, and another one goes on from that day at another time."""
        shown = self.pick(which, at, occurrence=True)
        if shown is None or shown.day is None:
            return
        event, day = shown.event, shown.day
        recurrence = event.values["recurrence"]
        ended = {"type": "endDate", "startDate": recurrence["range"]["startDate"], "endDate": (day - _DAY).isoformat()}
        begins: date = zones.local(event.values["start"]).date()
        if day > begins:
            self.kept(self.room).change(Shown(event), {"recurrence": {**recurrence, "range": ended}})
            offset = (day - self.clock.now().date()).days
            self._series(self.times(offset, hour, 60, at, whole=bool(event.values.get("isAllDay"))), "daily", "endDate")
