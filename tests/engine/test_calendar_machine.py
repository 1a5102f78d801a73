"""Calendars against whatever may happen: afterwards every mirror shows what the room shows, and nobody got a mail.

Runs each fault alone, two composed histories, and 12 drawn ones, always the same. ROLLCALL_CALENDAR_HISTORIES=5000 draws that
many others.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from local.m365.calendars.events import Shown
from local.m365.faults import FaultKind
from tests.engine import oracle
from tests.engine.calendar_machine.admins import RULES, TRAITS, Admins
from tests.engine.calendar_machine.bookings import LOOKS
from tests.engine.calendar_machine.deeds import DEEDS, FIRED
from tests.engine.calendar_machine.oracle import AHEAD, BACK, Sight, expected, seen
from tests.engine.machine.events import chance, some
from tests.engine.machine.faults import FAULTS
from tests.engine.machine.history import SECOND
from tests.engine.machine.playing import check_fired, play
from tests.engine.rooms import SYNC, TEAM, our_calendars, shared_mailbox
from tests.engine.world import NIGHTLY

HISTORIES = int(os.environ.get("ROLLCALL_CALENDAR_HISTORIES", "0"))
# so that windows lie over the days on which clocks are changed: in November, in March of America and of Europe
BEGINNINGS = (0, 125, 138, 330)
_NEEDED = {*map(str, FAULTS), "killed", "storage failed", "purged", "delivered twice"}
_NEEDED |= {"undone", "preview", "this_and_following", "targets: include", *(f"definition: {name}" for name in (*RULES, *TRAITS))}

begun = st.one_of(
    st.just({}), st.fixed_dictionaries({name: st.sampled_from(values) for name, values in {**RULES, **TRAITS}.items()})
)


class CalendarEngine(Admins):
    """One history of a room, its bookings and the people who see it."""

    fired = FIRED

    @rule(what=st.deferred(lambda: st.one_of(DEEDS)))
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, values = what
        FIRED[name] += 1
        getattr(self, name)(**values)

    @initialize(
        people=st.integers(1, 2),
        permanent=chance,
        calm=chance,
        begins=st.sampled_from(BEGINNINGS),
        second=chance,
        second_site=chance,
        second_sync=chance,
        choices=begun,
        opening=st.one_of(st.none(), st.sampled_from(FAULTS)),
        number=some,
    )
    def begin(
        self,
        people: int,
        permanent: bool,
        calm: bool,
        begins: int,
        second: bool,
        second_site: bool = False,
        second_sync: bool = False,
        choices: dict[str, dict[str, Any]] | None = None,
        opening: FaultKind | None = None,
        number: int = 0,
    ) -> None:
        self.prepare(permanent=permanent, second_site=second_site)
        self.clock.advance(timedelta(days=begins))
        self.room = shared_mailbox(self.tenant, "Room Linden")
        self.readers = [self.world.hire(f"Reader {number}") for number in range(people)]
        self.own, self.handled, self.colored, self.taken, self.serial = {}, set(), set(), {}, 0
        board = self.kept(self.room).create_calendar("Board")
        sources: list[dict[str, Any]] = [{"kind": "calendar", "mailbox": self.room}]
        boards = {"kind": "calendar", "mailbox": self.room, "calendar": "Board", "prefix": "[Board]", "category": "Board"}
        self.calendars = [self.kept(self.room).default]
        if second:
            sources.append(boards)
            self.calendars.append(board)
        given = choices or {}
        rules = {"days_back": BACK, "days_ahead": AHEAD}
        for name in RULES:
            rules |= given.get(name, {})
        self.traits = {
            SYNC: {"sources": sources, "events": rules},
            SECOND: {"folder": f"{TEAM} of the board", "sources": [boards], "events": rules},
        }
        for name in TRAITS:
            self.traits[SYNC] |= given.get(name, {})
        self.syncs = [(site, SYNC) for site in self.sites] + [(self.world, SECOND)] * second_sync
        for each in range(3):
            self.book(each * 4, 9 + each, 60, each, whole=each == 2)
        self.repeat(0, 10, 0, "daily", "noEnd", whole=False)
        self.do(self.connect(calm=calm))
        self.broken = False
        if opening is not None:
            self.fault(opening, times=3, number=number, half=False)

    def definition(self, sync: str, **values: Any) -> dict[str, Any]:
        brakes = {"percent": 100, "at_least": 1_000_000}
        common = {"name": "Team", "folder": TEAM, "schedule": NIGHTLY, "brakes": brakes}
        return {**common, **self.traits[sync], **values}

    async def _end(self) -> None:
        self.cloud.faults.clear()
        self.hazards.fuses.clear()
        await self.prepare_to_end()
        await super()._end()
        await self.preview_shows_nothing()

    def wrongs(self) -> list[str]:
        found = []
        for user in self.readers:
            kept = self.kept(user)
            found += [f"{user} was mailed {kept.mailed}"] * bool(kept.mailed) + ["met online"] * kept.online_meetings
            for site, sync in self.syncs:
                definition = self.definitions[site.installation, sync]
                is_target = user in oracle.targets(self.tenant, definition)
                problems = self.problems(user, site.installation, sync, definition if is_target else None)
                found += [f"{site.installation}/{sync} in {user}: {problem}" for problem in problems]
            for event in kept.events():
                lives = event.calendar is not None and not event.calendar.deleted
                if lives and self.owner(event) is None and not {(user, event.uid)} & (self.own.keys() | self.handled):
                    found.append(f"{event.values.get('subject')} was left behind")
        touched = [event for event, version in self.own.values() if event.version != version or event.calendar is None]
        return found + ["an event of the reader's own was touched"] * len(touched)

    def problems(self, user: str, installation: str, sync: str, definition: dict[str, Any] | None) -> list[str]:
        ours = our_calendars(self.tenant, user, installation, sync)
        if len(ours) != (definition is not None):
            return [f"{len(ours)} calendars of ours"]
        found: list[str] = []
        held: dict[str, Sight] = {}
        for event in self.kept(user).events():
            owner = self.owner(event)
            if event.calendar is None or event.calendar.deleted or owner is None or owner[:2] != (installation, sync):
                continue
            if event.calendar not in ours:
                found.append(f"{owner[2]} lies in {event.calendar.name}")
            elif owner[2] in held:
                found.append(f"{owner[2]} is there twice")
            held[owner[2]] = seen(Shown(event))
        if definition is None:
            return [*found, *(f"{key} was not removed" for key in held)]
        if user not in self.colored and ours[0].color != definition["events"].get("color", "auto"):
            found.append(f"is {ours[0].color}")
        kept = self.kept(self.room)
        by_name = {"Board": next(one for one in kept.listed() if one.name == "Board")}
        sources = [(source, kept, by_name.get(source.get("calendar", ""), kept.default)) for source in definition["sources"]]
        wanted = expected(definition, sources, self.clock.now())
        there = Counter(held.values())
        missing = list((wanted - there).elements())
        if definition.get("on_user_delete") == "respect":
            refused = self.taken.get((user, installation, sync), set()) - held.keys()
            missing = missing[len(refused) :]
        return [*found, *(f"missing: {one}" for one in missing), *(f"too much: {one}" for one in (there - wanted).elements())]


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


def test_rules_come_and_go() -> None:
    history = CalendarEngine()
    try:
        history.begin(people=1, permanent=True, calm=True, begins=138, second=True)
        for day, look in enumerate(LOOKS):
            history.book(day, 10 + day, 60, day, look=look)
        for trait, choices in (*RULES.items(), *TRAITS.items()):
            for choice in range(len(choices)):
                history.change_definition(0, trait, choice)
                history.phone(0, choice, "edit")
            history.do(history.tick(minutes=1500))
            assert history.wrongs() == []
    finally:
        history.teardown()


def test_installations_and_syncs_side_by_side_come_go_and_take_back() -> None:
    history = CalendarEngine()
    try:
        history.begin(people=2, permanent=True, calm=True, begins=0, second=False, second_site=True, second_sync=True)
        for which in range(3):
            history.undo(which, resume=False)
            history.look(which)
            history.undo(which, resume=True)
            history.retarget(which, 1, "include")
            history.phone(1, which, "own")
            history.retarget(which, 1, "exclude")
        history.retarget(1, 0, "all")
        history.book(3, 9, 60, 1)
        history.work(0, 6, 2, doubled=True, interleave=True)
        history.this_and_following(0, 3, 15)
        history.retarget(0, 1, "disable")
        history.mailbox(0, 0, "rename")
        history.do(history.tick(minutes=1500))
    finally:
        history.teardown()


def test_whatever_happens_every_mirror_is_right_in_the_end() -> None:
    play(CalendarEngine, histories=HISTORIES, otherwise=12)


def test_every_fault_fired(capsys: pytest.CaptureFixture[str]) -> None:
    check_fired(FIRED, _NEEDED, capsys)
