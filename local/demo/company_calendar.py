"""A shared mailbox's calendar and a room's in every mailbox: clocks that change, meetings that move, a window that slides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from local.demo import calendar_checks as checks
from local.demo.calendar_checks import Entry, Mirrors
from local.demo.clients import Json, Reader, StageHand
from local.demo.performance import Performance

SYNC = "company"
PLACE, ZONE, EXCHANGE_ZONE = "Berlin", "Europe/Berlin", "W. Europe Standard Time"
DAYS_BACK, DAYS_AHEAD = 7, 230  # more than there is from one change of clocks to the next
_MEETING, _AT = "All hands", time(10)
_SECRET = "Interview for the new head of finance"
_ROOM, _PREFIX = "Room Kastanie", "[Kastanie]"
_DAY = timedelta(days=1)
_SHOWN = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Plot:
    """Whose calendars are mirrored, and the Monday with which the story begins."""

    shared: str
    room: str
    series: str
    monday: date

    @property
    def meeting(self) -> date:
        """The meeting that is moved; the one a week later is cancelled."""
        return self.monday + _DAY


def play(on: Performance, mailboxes: Iterable[str]) -> None:
    """The whole scene, for these mailboxes."""
    show = on.show
    show.step("A company calendar: those of a shared mailbox and a room, in everybody's calendar app")
    if "Calendars.ReadWrite" not in on.tenant.app.permissions | on.tenant.app.scoped_permissions:
        show.say("left out, the app may not write calendars: its permissions lack Calendars.ReadWrite")
        return
    own = {user: checks.own_events(on.reader, user) for user in mailboxes}
    if not own:
        show.say("left out, no mailbox can be served")
        return
    now = on.hand.advance()
    plot = stage_calendars(on.hand, [user["mail"] for user in on.reader.users() if user["mail"]][:3], now)
    staged = sum(on.hand.counters()["mails"][str(on.tenant.id)].values())
    show.say(
        f"{_MEETING} every week at {_AT:%H:%M} in {PLACE}, a fair of three days, a private appointment; a room that is booked."
    )
    on.admin.define(SYNC, definition(plot))
    mails = []

    def look(run: Json) -> tuple[Mirrors, list[Entry]]:
        """All mirrors after a run, and what they should show."""
        mails.append(on.served["mails"][str(on.tenant.id)])
        start, end = window(datetime.fromisoformat(run["requested_at"]))
        return checks.mirrors(on.reader, own, SYNC, start, end), expected(on.reader, plot, start, end)

    run = on.run("First mirror", lambda: on.admin.start("due", SYNC), of="Events")
    first, wanted = look(run)
    on.judge(
        checks.check_mirrors(f"every mailbox shows the {len(wanted)} events of the window, each once", first, wanted),
        checks.check_secret(first, _SECRET),
        checks.check_wall_time(first, _MEETING, _AT, ZoneInfo(ZONE)),
    )

    show.say(change(on.hand, plot))
    changed = on.run("Two changes", lambda: on.admin.start("due", SYNC), of="Events")
    second, wanted = look(changed)
    on.judge(
        checks.check_mirrors("the meeting has moved, the other one is gone", second, wanted),
        checks.check_cost("one write for each change and mailbox", changed, created=0, updated=len(second), deleted=len(second)),
    )

    show.say("A day passes; at night the timer starts the sync, and the window slides.")
    on.wait_a_day()
    slid = on.run("Next night", lambda: on.start_by_timer(SYNC), of="Events")
    before = wanted
    third, wanted = look(slid)
    come, gone = (len(checks.less(*pair)) * len(third) for pair in ((wanted, before), (before, wanted)))
    on.judge(
        checks.check_mirrors("every mailbox shows the events of the new window", third, wanted),
        checks.check_cost("only the window's edges were written", slid, created=come, updated=0, deleted=gone),
        checks.check_own(own, {user: checks.own_events(on.reader, user) for user in own}),
        checks.check_mails(staged, mails),
    )
    show_weeks(on, plot, next(iter(third)), first)


def stage_calendars(hand: StageHand, guests: list[str], now: datetime) -> Plot:
    """Set up a shared mailbox with a calendar of company events, and a room with a booking."""
    domain = guests[0].partition("@")[2] if guests else "example.com"
    accounts = [("Company events", f"company.events@{domain}"), (_ROOM, f"kastanie@{domain}")]
    shared, room = hand.directory(
        *(
            {
                "op": "add",
                "values": {
                    "displayName": name,
                    "userPrincipalName": address,
                    "mail": address,
                    "accountEnabled": False,
                    "assignedPlans": [],
                },
            }
            for name, address in accounts
        )
    )
    tomorrow = now.date() + _DAY
    monday = tomorrow + timedelta(days=7 - tomorrow.weekday())
    start = monday + _DAY - timedelta(days=28)
    weekly = {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
        "range": {"type": "noEnd", "startDate": start.isoformat()},
    }
    edges = (now.date() - timedelta(days=DAYS_BACK), now.date() + timedelta(days=DAYS_AHEAD))
    _, series, *_ = hand.phone(
        shared,
        {"op": "createCalendar", "name": "Company", "color": "lightGreen"},
        _create(
            _event(_MEETING, start, _AT, hours=1, place="Auditorium"),
            recurrence=weekly,
            attendees=[{"emailAddress": {"address": guest}, "type": "required"} for guest in guests],
            isOnlineMeeting=True,
        ),
        _create(_days("Trade fair, Hanover", monday + 2 * _DAY, 3), showAs="workingElsewhere"),
        _create(_event(_SECRET, monday, time(12, 30), hours=1, place="Room 4.12"), sensitivity="private"),
        _create(_event("Farewell of last week", edges[0], time(12), hours=2, place="Canteen")),
        _create(_event("Summer party", edges[1], time(12), hours=2, place="Garden")),
    )
    hand.phone(room, {"op": "createEvent", "values": _event("Board meeting", monday + 3 * _DAY, time(14), hours=2)})
    return Plot(shared, room, series, monday)


def definition(plot: Plot) -> Json:
    """The sync: two calendars into one, every night."""
    return {
        "name": "Company calendar",
        "folder": "Company calendar",
        "sources": [
            {"kind": "calendar", "mailbox": plot.shared, "calendar": "Company"},
            {"kind": "calendar", "mailbox": plot.room, "prefix": _PREFIX},
        ],
        "events": {"days_back": DAYS_BACK, "days_ahead": DAYS_AHEAD, "color": "lightGreen"},
        "schedule": {"kind": "daily", "at": "02:00", "time_zone": ZONE},
    }


def change(hand: StageHand, plot: Plot) -> str:
    """Move one meeting, cancel the next one. Returns it in words."""
    times = _event(_MEETING, plot.monday, time(16), hours=1)
    cancelled = plot.meeting + timedelta(days=7)
    hand.phone(
        plot.shared,
        {
            "op": "editEvent",
            "event": plot.series,
            "day": plot.meeting.isoformat(),
            "values": {"start": times["start"], "end": times["end"]},
        },
        {"op": "deleteEvent", "event": plot.series, "day": cancelled.isoformat()},
    )
    day = f"{plot.meeting:%a} {plot.meeting.day} {plot.meeting:%b}"
    return f"{_MEETING} of {day} is moved to Monday, that of a week later is cancelled."


def window(now: datetime) -> tuple[datetime, datetime]:
    """The window on the day of `now`, in whole days of UTC."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return today - timedelta(days=DAYS_BACK), today + timedelta(days=DAYS_AHEAD)


def expected(reader: Reader, plot: Plot, start: datetime, end: datetime) -> list[Entry]:
    """What a mirror should show, by the calendars that are mirrored."""
    company = next(found["id"] for found in reader.calendars(plot.shared) if found["name"] == "Company")
    booked = next(found["id"] for found in reader.calendars(plot.room) if found["isDefaultCalendar"])
    events = [checks.mirrored(event) for event in reader.view(plot.shared, company, start, end)]
    return events + [checks.mirrored(event, _PREFIX) for event in reader.view(plot.room, booked, start, end)]


def show_weeks(on: Performance, plot: Plot, user: str, first: Mirrors) -> None:
    """Two weeks of one mailbox as its owner sees them, and the meeting on either side of the change of clocks."""
    name = next(person["displayName"] for person in on.reader.users() if person["id"] == user)
    zone = ZoneInfo(ZONE)
    start = datetime.combine(plot.monday, time(), zone)
    calendar = on.reader.calendar(user, SYNC) or ""
    after = on.reader.view(user, calendar, start, start + _SHOWN, ZONE)
    lines = checks.compare([event for event in first[user] if start <= checks.begins(event) < start + _SHOWN], after, zone)
    on.show.calendar(f"Company calendar in the mailbox of {name}, over Graph; times of {PLACE}", lines)
    on.show.say(checks.across_change(first[user], _MEETING, zone))


def _create(values: Json, **more: object) -> Json:
    return {"op": "createEvent", "calendar": "Company", "values": {**values, **more}}


def _event(subject: str, day: date, at: time, *, hours: int, place: str = "") -> Json:
    start = datetime.combine(day, at)
    times = {"start": _time(start), "end": _time(start + timedelta(hours=hours))}
    return {"subject": subject, **times, **({"location": {"displayName": place}} if place else {})}


def _days(subject: str, first: date, count: int) -> Json:
    start = datetime.combine(first, time())
    return {"subject": subject, "isAllDay": True, "start": _time(start), "end": _time(start + count * _DAY)}


def _time(wall: datetime) -> Json:
    return {"dateTime": f"{wall:%Y-%m-%dT%H:%M:%S}", "timeZone": EXCHANGE_ZONE}
