"""What those do who see the mirrors, and what happens to their mailboxes."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

from local.m365.calendars import zones
from local.m365.calendars.events import Calendar, Event, Shown
from sync_core import marks
from tests.engine.calendar_machine.bookings import Bookings
from tests.engine.calendar_machine.deeds import deed
from tests.engine.machine.events import some
from tests.engine.rooms import TEAM, our_calendars, stamp

_DAY = timedelta(days=1)


class Readers(Bookings):
    """Readers of the mirrors. `own` is what they made themselves, with its version; `taken` the keys of what they took away."""

    readers: list[str]
    own: dict[tuple[str, int], tuple[Event, int]]
    handled: set[tuple[str, int]]
    colored: set[str]
    taken: dict[tuple[str, str, str], set[str]]

    def mirrors(self, user: str) -> list[Calendar]:
        """All calendars of ours in a mailbox."""
        return [one for site, sync in self.syncs for one in our_calendars(self.tenant, user, site.installation, sync)]

    def owner(self, event: Event) -> tuple[str, str, str] | None:
        """Installation, sync and key of an event of ours."""
        for site, sync in self.syncs:
            key = marks.key_in(event.extended.get(marks.KEY_PROPERTY), site.installation, sync)
            if key is not None:
                return site.installation, sync, key
        return None

    @deed(3, who=some, which=some, act=st.sampled_from(["edit", "delete", "destroy", "move", "own", "later"]))
    def phone(self, who: int, which: int, act: str) -> None:
        """A reader does something with an event of a mirror."""
        user = self.readers[who % len(self.readers)]
        kept = self.kept(user)
        if act == "own":
            where = kept.listed()[which % len(kept.listed())]
            made = kept.create(where, {"subject": "Own", **self.times(which, 10, 60, 0, whole=False)})
            self.own[user, made.uid] = made, made.version
            return
        marked = [event for event in kept.events() if event.calendar is not None and self.owner(event) is not None]
        if not marked:
            return
        event = sorted(marked, key=lambda one: one.uid)[which % len(marked)]
        if act in ("delete", "destroy", "move"):
            owner = self.owner(event)
            assert owner is not None
            self.taken.setdefault((user, *owner[:2]), set()).add(owner[2])
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
                self.blind = True  # should the ledger be lost before the next look, only a close one finds it
            case _:
                kept.delete(Shown(event), permanently=act == "destroy")

    @deed(
        who=some,
        which=some,
        act=st.sampled_from(["rename", "color", "delete", "same name", "bump", "new ids", "new ids of the room"]),
    )
    def mailbox(self, who: int, which: int, act: str) -> None:
        """Something happens to a calendar or a mailbox."""
        user = self.readers[who % len(self.readers)]
        kept, ours = self.kept(user), self.mirrors(user)
        match act:
            case "rename" if ours:
                kept.rename_calendar(ours[which % len(ours)], f"Mine {self.name()}")
            case "color" if ours:
                ours[which % len(ours)].color = "lightBrown"
                self.colored.add(user)
            case "delete" if ours:
                gone = ours[which % len(ours)]
                kept.delete_calendar(gone)
                self.blind = True  # a deleted calendar answers by its id; it is looked for once a week
                for event in gone.events.values():
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
