"""Calendars against whatever may happen: afterwards every mirror shows what the room shows, in UTC, and nobody got a mail.

Runs each fault alone, and 16 histories, always the same ones. ROLLCALL_CALENDAR_HISTORIES=5000 runs that many others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from local.m365.calendars import zones
from local.m365.calendars.store import Event, Shown
from local.m365.faults import FaultKind
from local.m365.wire import GraphError
from sync_core import marks
from sync_core.engine import runs
from sync_core.errors import ConflictError, InputError
from sync_core.state.runs import Check
from tests.engine.hazards import Fuse
from tests.engine.machine.ending import Ending
from tests.engine.machine.events import chance, some
from tests.engine.machine.faults import FAULTS, fault_of
from tests.engine.machine.playing import check_fired, play
from tests.engine.rooms import BERLIN, SYNC, TEAM, our_calendars, shared_mailbox, sight, stamp, window
from tests.engine.world import INSTALLATION, NIGHTLY, TENANT

HISTORIES = int(os.environ.get("ROLLCALL_CALENDAR_HISTORIES", "0"))
FIRED: Counter[str] = Counter()
DEEDS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []

BACK, AHEAD = 4, 16
ZONES = (BERLIN, "Eastern Standard Time", "Tokyo Standard Time", "UTC", "Asia/Kolkata", "Lord Howe Standard Time")
GUEST = [{"emailAddress": {"name": "Guest", "address": "guest@partner.example"}, "type": "required"}]
# so that windows lie over the days on which clocks are changed: in November, in March of America and of Europe
BEGINNINGS = (0, 125, 138, 330)
_NEEDED = {*map(str, FAULTS), "killed", "storage failed", "purged", "delivered twice"}
_DAY = timedelta(days=1)


def deed(weight: int = 1, **values: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One of the things that may happen in a step, as likely as its weight."""

    def register(method: Callable[..., None]) -> Callable[..., None]:
        DEEDS.extend(st.tuples(st.just(method.__name__), st.fixed_dictionaries(values)) for _ in range(weight))
        return method

    return register


hours = st.integers(0, 23)
days = st.integers(-6, 20)


class CalendarEngine(Ending):
    """One history of a room, its bookings and the people who see it."""

    fired = FIRED

    @rule(what=st.deferred(lambda: st.one_of(DEEDS)))
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, values = what
        FIRED[name] += 1
        getattr(self, name)(**values)

    @initialize(people=st.integers(1, 2), permanent=chance, calm=chance, begins=st.sampled_from(BEGINNINGS), second=chance)
    def begin(self, people: int, permanent: bool, calm: bool, begins: int, second: bool) -> None:
        self.prepare(permanent=permanent, second_site=False)
        self.clock.advance(timedelta(days=begins))
        self.room = shared_mailbox(self.tenant, "Room Linden")
        self.readers = [self.world.hire(f"Reader {number}") for number in range(people)]
        self.own: dict[tuple[str, int], tuple[Event, int]] = {}  # what readers made themselves, with its version
        self.handled: set[tuple[str, int]] = set()
        self.serial = 0
        board = self.kept(self.room).create_calendar("Board")
        sources = [{"kind": "calendar", "mailbox": self.room}]
        self.calendars = [self.kept(self.room).default]
        if second:
            sources.append({"kind": "calendar", "mailbox": self.room, "calendar": "Board"})
            self.calendars.append(board)
        self.traits = {SYNC: {"sources": sources, "events": {"days_back": BACK, "days_ahead": AHEAD}}}
        self.syncs = [(self.world, SYNC)]
        for number in range(3):
            self.book(number * 4, 9 + number, 60, number, whole=number == 2, private=False)
        self.repeat(0, 10, 0, "daily", "noEnd", whole=False)
        self.do(self.connect(calm=calm))
        self.broken = False

    def definition(self, sync: str, **values: Any) -> dict[str, Any]:
        brakes = {"percent": 100, "at_least": 1_000_000}
        common = {"name": "Team", "folder": TEAM, "schedule": NIGHTLY, "brakes": brakes}
        return {**common, **self.traits[sync], **values}

    def kept(self, user: str) -> Any:
        return self.tenant.calendars(user)

    # --- bookings ----------------------------------------------------------------------------------------------------

    def times(self, day: int, hour: int, minutes: int, zone: int, *, whole: bool) -> dict[str, Any]:
        name = ZONES[zone % len(ZONES)]
        begins = datetime.combine(self.clock.now().date() + timedelta(days=day), datetime.min.time())
        length = timedelta(days=1 + minutes // 60) if whole else timedelta(minutes=minutes)
        begins += timedelta(hours=0 if whole else hour, minutes=0 if whole else 30 * (hour % 2))
        return {"start": stamp(begins, name), "end": stamp(begins + length, name), "isAllDay": whole}

    def name(self) -> str:
        self.serial += 1
        return f"Event {self.serial}"

    def events(self) -> list[Event]:
        return [event for calendar in self.calendars for event in calendar.events.values()]

    @deed(3, day=days, hour=hours, minutes=st.sampled_from([0, 30, 60, 180]), zone=some, whole=chance, private=chance)
    def book(self, day: int, hour: int, minutes: int, zone: int, whole: bool, private: bool) -> None:
        """Somebody books the room once."""
        values = self.times(day, hour, minutes, zone, whole=whole)
        sensitivity = "private" if private else "normal"
        more = {"sensitivity": sensitivity, "attendees": GUEST, "location": {"displayName": "Linden"}}
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
        values = self.times(day, hour, 60, zone, whole=whole)
        self._series(values, pattern, end)

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
        subject = {"subject": self.name(), "recurrence": recurrence}
        self.kept(self.room).create(self.calendars[0], {**values, **subject})

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

    @deed(3, which=some, at=some, occurrence=chance, act=st.sampled_from(["rename", "later", "days", "zone", "private", "free"]))
    def edit(self, which: int, at: int, occurrence: bool, act: str) -> None:
        """Somebody changes an event, a series or one occurrence."""
        shown = self.pick(which, at, occurrence=occurrence)
        if shown is None:
            return
        values = shown.values
        changed: dict[str, Any] = {"subject": self.name()}
        by = timedelta(days=1 + at % 3) if act == "days" else timedelta(hours=1 + at % 5)
        if act in ("days", "later") and not (act == "later" and values.get("isAllDay")):
            times = {side: stamp(zones.local(values[side]) + by, values[side]["timeZone"]) for side in ("start", "end")}
            changed |= times
            if shown.day is None and shown.event.is_series:
                first = zones.local(times["start"]).date().isoformat()
                recurrence = values["recurrence"]
                changed["recurrence"] = {**recurrence, "range": {**recurrence["range"], "startDate": first}}
        elif act == "zone" and shown.day is None:
            name = ZONES[at % len(ZONES)]
            changed |= {side: {**values[side], "timeZone": name} for side in ("start", "end")}
        elif act == "private":
            changed["sensitivity"] = "private"
        elif act == "free":
            changed["showAs"] = "free"
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

    # --- readers -----------------------------------------------------------------------------------------------------

    @deed(3, who=some, which=some, act=st.sampled_from(["edit", "delete", "destroy", "move", "own", "later"]))
    def phone(self, who: int, which: int, act: str) -> None:
        """A reader does something with an event of the mirror."""
        user = self.readers[who % len(self.readers)]
        kept = self.kept(user)
        if act == "own":
            where = kept.listed()[which % len(kept.listed())]
            made = kept.create(where, {"subject": "Own", **self.times(which, 10, 60, 0, whole=False)})
            self.own[user, made.uid] = made, made.version
            return
        marked = [event for event in kept.events() if event.calendar is not None and self.key(event) is not None]
        if not marked:
            return
        event = sorted(marked, key=lambda one: one.uid)[which % len(marked)]
        match act:
            case "edit":
                kept.change(Shown(event), {"subject": "Edited", "isReminderOn": True})
            case "later":
                values = event.values
                later = {side: stamp(zones.local(values[side]) + _DAY, values[side]["timeZone"]) for side in ("start", "end")}
                kept.change(Shown(event), later)
            case "move":
                kept.move(event, kept.default)
                self.handled.add((user, event.uid))
            case _:
                kept.delete(Shown(event), permanently=act == "destroy")

    @deed(who=some, act=st.sampled_from(["rename", "delete", "same name", "bump", "new ids", "new ids of the room"]))
    def mailbox(self, who: int, act: str) -> None:
        """Something happens to a calendar or a mailbox."""
        user = self.readers[who % len(self.readers)]
        kept = self.kept(user)
        ours = our_calendars(self.tenant, user, INSTALLATION, SYNC)
        match act:
            case "rename" if ours:
                kept.rename_calendar(ours[0], f"Mine {self.name()}")
            case "delete" if ours:
                kept.delete_calendar(ours[0])
                self.blind = True  # a deleted calendar answers by its id; it is looked for once a week
                for event in ours[0].events.values():
                    self.own.pop((user, event.uid), None)
            case "same name" if not any(calendar.name == TEAM for calendar in kept.listed()):
                kept.create_calendar(TEAM)
            case "bump":
                self.tenant.bump_change_keys(user)
                self.own = {key: (event, event.version) for key, (event, _) in self.own.items()}
            case "new ids":
                self.tenant.change_item_ids(user)
            case "new ids of the room":
                self.tenant.change_item_ids(self.room)

    # --- faults, runs, time ------------------------------------------------------------------------------------------

    @deed(6, kind=st.sampled_from(FAULTS), times=st.integers(1, 4), number=some, half=chance)
    def fault(self, kind: FaultKind, times: int, number: int, half: bool) -> None:
        """Something goes wrong in Microsoft 365 from now on, a few times."""
        creates, changes = r"/(events|calendars)$", r"/events/"
        fault = fault_of(kind, times=times, number=number, half=half, creates=creates, changes=changes)
        if kind is FaultKind.TOKEN_EXPIRED:
            fault.template = "/users/{id}/calendars/{id}/calendarview/delta"
        self.cloud.faults.add(fault)
        if kind is FaultKind.DELETE_NOT_FOUND:  # there must be something to delete
            self.wait(300)
            self.book(3, 9, 60, number, whole=False, private=False)
            self.night(many=True)
            self.kept(self.room).delete(Shown(self.events()[-1]))
        self.book(number, number, 60, number, whole=half, private=False)
        self.night(many=number % 3 > 0)

    @deed(3, after=st.integers(1, 60), where=st.sampled_from(["", "storage", "during network", "after network", "queue"]))
    def kill(self, after: int, where: str) -> None:
        """A worker will die."""
        self.hazards.fuses.append(Fuse(self.hazards.kill, after if where in ("", "storage") else 1 + after % 5, where))
        self.book(after % 10, after % 24, 60, after, whole=False, private=False)
        self.night(many=after % 3 > 0)

    @deed(2, after=st.integers(1, 40), act=st.sampled_from(["storage", "purge"]))
    def mishap(self, after: int, act: str) -> None:
        """Storage will fail, or somebody will empty the caches, at some moment."""
        effect = self.hazards.fail if act == "storage" else self.world.purge
        self.hazards.fuses.append(Fuse(effect, after, "storage" if act == "storage" else ""))
        self.night(many=True)

    def night(self, *, many: bool) -> None:
        """A run, most of which is carried out."""
        self.do(self._request())
        if many:
            self.do(self._work(25, 1, doubled=False))

    @deed(count=st.integers(1, 8), at_once=st.integers(1, 3), doubled=chance, interleave=chance)
    def work(self, count: int, at_once: int, doubled: bool, interleave: bool) -> None:
        """Some messages are delivered, perhaps side by side, perhaps each to two workers at once."""
        self.hazards.interleave = interleave
        self.do(self._request())
        self.do(self._work(count, at_once, doubled=doubled))
        self.hazards.interleave = False

    @deed(2, minutes=st.sampled_from([11, 300, 1500, 4400, 12000]))
    def wait(self, minutes: int) -> None:
        """Time passes, and the window slides."""
        self.do(self.tick(minutes=minutes))

    async def _request(self, check: Check = Check.DUE) -> None:
        await self.world.call(
            lambda context: runs.request_run(context, TENANT, SYNC, check=check, by_hand=True),
            accepted=(ConflictError, InputError),
        )

    async def _work(self, count: int, at_once: int, *, doubled: bool) -> None:
        for _ in range(count):
            await self.world.deliver_next(at_once=at_once, doubled=doubled)

    # --- the end -----------------------------------------------------------------------------------------------------

    def wrongs(self) -> list[str]:
        wanted = self.expected()
        return [f"{user}: {problem}" for user in self.readers for problem in self.problems(user, wanted)]

    def expected(self) -> Counter[Any]:
        """What a person sees of the room, private events as time taken."""
        start, end = window(self.clock.now(), BACK, AHEAD)
        first, last = (f"{at:%Y-%m-%dT%H:%M:%S}" for at in (start, end))
        found: Counter[Any] = Counter()
        for calendar in self.calendars:
            for shown in self.kept(self.room).view(calendar, start - 2 * _DAY, end + 2 * _DAY):
                one = sight(shown)
                if one[1] < last and (one[2] > first or one[1] == one[2] == first):
                    private = shown.values.get("sensitivity", "normal") != "normal"
                    found[("Busy", *one[1:4], "") if private else one] += 1
        return found

    def problems(self, user: str, wanted: Counter[Any]) -> list[str]:
        kept = self.kept(user)
        found = [f"mailed {kept.mailed}"] * bool(kept.mailed) + ["met online"] * kept.online_meetings
        ours = our_calendars(self.tenant, user, INSTALLATION, SYNC)
        if len(ours) != 1:
            return [*found, f"{len(ours)} calendars of ours"]
        held: Counter[Any] = Counter()
        for event in kept.events():
            key = self.key(event)
            if event.calendar is None or event.calendar.deleted:
                continue
            if key is None and (user, event.uid) not in self.own and (user, event.uid) not in self.handled:
                found.append(f"{event.values.get('subject')} was left behind")
            elif key is not None and event.calendar is not ours[0]:
                found.append(f"{key} lies in {event.calendar.name}")
            elif key is not None:
                held[sight(Shown(event))] += 1
        found += [f"missing: {one}" for one in (wanted - held).elements()]
        found += [f"too much: {one}" for one in (held - wanted).elements()]
        for (owner, _), (event, version) in self.own.items():
            if owner == user and (event.version != version or event.calendar is None):
                found.append("an event of the reader's own was touched")
        return found

    @staticmethod
    def key(event: Event) -> str | None:
        return marks.key_in(event.extended.get(marks.KEY_PROPERTY), INSTALLATION, SYNC)


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_alone(kind: FaultKind) -> None:
    history = CalendarEngine()
    try:
        history.begin(people=1, permanent=False, calm=True, begins=125, second=False)
        history.fault(kind=kind, times=3, number=3, half=False)
        history.edit(which=3, at=2, occurrence=True, act="days")
        history.fault(kind=kind, times=3, number=4, half=False)
    finally:
        history.teardown()


def test_whatever_happens_every_mirror_is_right_in_the_end() -> None:
    play(CalendarEngine, histories=HISTORIES, otherwise=16)


def test_every_fault_fired(capsys: pytest.CaptureFixture[str]) -> None:
    check_fired(FIRED, _NEEDED, capsys)
