"""A tenant with a room whose calendar is mirrored, as a person would see both."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Event, Shown
from local.m365.calendars.store import Calendars
from local.m365.tenant import Tenant
from sync_core import marks
from sync_core.model import RunState
from sync_core.state.runs import Run
from tests.engine.world import INSTALLATION, World

BERLIN = "W. Europe Standard Time"
TEAM = "Team calendar"
SYNC = "team"

Sight = tuple[str, str, str, bool, str]
"""What a person sees of an event: subject, start and end in UTC, whether it lasts all day, where."""


class Rooms(World):
    """A room with a calendar, and people who shall see it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.room = shared_mailbox(self.tenant, "Room Linden")

    def source(self, **values: Any) -> dict[str, Any]:
        """The room's calendar as a source."""
        return {"kind": "calendar", "mailbox": self.room, **values}

    async def mirror(self, *sources: dict[str, Any], events: dict[str, Any] | None = None, **values: Any) -> None:
        """Connect the tenant and define the sync."""
        definition = {"folder": TEAM, "sources": list(sources) or [self.source()], "events": events, **values}
        await self.connect(definition, sync=SYNC)

    def book(self, subject: str, start: str, minutes: int = 60, *, zone: str = "UTC", user: str = "", **values: Any) -> Event:
        """Somebody books the room, or writes into another user's calendar."""
        begins = datetime.fromisoformat(start)
        times = {"start": stamp(begins, zone), "end": stamp(begins + timedelta(minutes=minutes), zone)}
        calendars = self.tenant.calendars(user or self.room)
        return calendars.create(calendars.default, {"subject": subject, **times, **values})

    def book_days(self, subject: str, first: str, days: int = 1, *, zone: str = BERLIN, **values: Any) -> Event:
        """An event that lasts whole days."""
        return self.book(subject, first, days * 24 * 60, zone=zone, isAllDay=True, **values)

    def kept(self, user: str) -> Calendars:
        """A user's calendars."""
        return self.tenant.calendars(user)

    def mirrored(self, user: str, *, sync: str = SYNC) -> Calendar:
        """The calendar of the mirror."""
        (calendar,) = our_calendars(self.tenant, user, INSTALLATION, sync)
        return calendar

    def subjects(self, user: str, *, sync: str = SYNC) -> list[str]:
        """What the mirror shows."""
        return sorted(str(event.values.get("subject")) for event in self.mirrored(user, sync=sync).events.values())

    def seen(self, calendar: Calendar, user: str, *, days_back: int = 30, days_ahead: int = 365) -> list[Sight]:
        """A calendar over the window of a sync."""
        return sights(self.kept(user), calendar, window(self.clock.now(), days_back, days_ahead))

    def differences(self, user: str) -> list[Sight]:
        """What is in the mirror and not in the room, or the other way round."""
        ours = self.seen(self.mirrored(user), user)
        theirs = self.seen(self.kept(self.room).default, self.room)
        return [sight for sight in {*ours, *theirs} if ours.count(sight) != theirs.count(sight)]


def stamp(at: datetime, zone: str) -> dict[str, str]:
    return {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}", "timeZone": zone}


def weekly(first: str, *days: str) -> dict[str, Any]:
    """A recurrence without end."""
    return {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": list(days)},
        "range": {"type": "noEnd", "startDate": first},
    }


def daily(first: str) -> dict[str, Any]:
    """A recurrence without end."""
    return {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd", "startDate": first}}


def shared_mailbox(tenant: Tenant, name: str) -> str:
    """A mailbox without a licence; returns its id."""
    upn = f"{name.lower().replace(' ', '-')}@example.com"
    values = {"displayName": name, "mail": upn, "userPrincipalName": upn, "accountEnabled": False, "assignedPlans": []}
    return tenant.add_user(values, "ok")


def our_calendars(tenant: Tenant, user: str, installation: str, sync: str) -> list[Calendar]:
    """The calendars with the mark of a sync that are not deleted."""
    return [
        calendar
        for calendar in tenant.calendars(user).listed()
        if marks.is_folder_of(calendar.extended.get(marks.KEY_PROPERTY), installation, sync)
    ]


def window(now: datetime, days_back: int, days_ahead: int) -> tuple[datetime, datetime]:
    """The moments between which a sync mirrors."""
    today = datetime.combine(now.date(), time(), UTC)
    return today - timedelta(days=days_back), today + timedelta(days=days_ahead)


def sights(calendars: Calendars, calendar: Calendar, between: tuple[datetime, datetime]) -> list[Sight]:
    """What a person sees of a calendar, whole days as days."""
    start, end = between
    wider = timedelta(days=2)
    found = (sight(shown) for shown in calendars.view(calendar, start - wider, end + wider))
    first, last = (f"{at:%Y-%m-%dT%H:%M:%S}" for at in between)
    return sorted(one for one in found if one[1] < last and (one[2] > first or one[1] == one[2] == first))


def sight(shown: Shown) -> Sight:
    """What a person sees of one event."""
    values = shown.values
    whole = bool(values.get("isAllDay"))
    times: Iterable[datetime] = (zones.local(values[side]) if whole else zones.moment(values[side]) for side in ("start", "end"))
    start, end = (f"{at:%Y-%m-%dT%H:%M:%S}" for at in times)
    return values.get("subject") or "", start, end, whole, (values.get("location") or {}).get("displayName") or ""


class Watched(Rooms):
    """Rooms that end every test without a mail and without an online meeting."""

    reader = ""

    def check(self) -> None:
        """Nobody was told anything by mail."""
        targets = [box for owner, box in self.tenant.mailboxes.items() if owner != self.room]
        assert [box.calendars.mailed for box in targets] == [{}] * len(targets)
        assert sum(box.calendars.online_meetings for box in targets) == 0

    async def good(self, **options: Any) -> Run:
        """A run that must succeed."""
        run = await self.run(sync=SYNC, **options)
        assert (run.state, run.reason) == (RunState.SUCCEEDED, "")
        self.check()
        return run


def watched() -> Watched:
    """Rooms with one reader."""
    world = Watched()
    world.reader = world.hire("Reader One")
    return world
