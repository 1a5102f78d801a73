"""What admins do, what goes by itself, and what goes wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from local.m365.calendars.events import Shown
from local.m365.faults import FaultKind
from sync_core.engine import admin, runs, schedule
from sync_core.engine.preview import Page, preview
from sync_core.engine.undo import undo
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.state.runs import Check, newest_runs
from sync_core.state.syncs import load_sync
from tests.engine.calendar_machine.deeds import FIRED, deed
from tests.engine.calendar_machine.readers import Readers
from tests.engine.hazards import Fuse, Site
from tests.engine.machine.events import chance, some
from tests.engine.machine.faults import FAULTS, fault_of
from tests.engine.machine.history import SECOND
from tests.engine.rooms import TEAM
from tests.engine.world import TENANT

RULES: dict[str, list[dict[str, Any]]] = {
    "private": [{"private": "busy"}, {"private": "skip"}, {"private": "full"}],
    "free": [{"free": "skip"}, {"free": "keep"}],
    "tentative": [{"tentative": "skip"}, {"tentative": "keep"}],
    "declined": [{"declined": "keep"}, {"declined": "skip"}],
    "subject": [{"subject": "Taken"}, {"subject": None}],
    "categories": [
        *({"categories_in": ["team"], "categories_out": []}, {"categories_in": [], "categories_out": ["Other"]}),
        {"categories_in": [], "categories_out": []},
    ],
    "below": [{"attendees": True, "web_link": False}, {"organizer": False, "join_link": False}],
    "color": [{"color": "lightPink"}, {"color": "lightTeal"}],
    "window": [{"days_ahead": 9}, {"days_back": 2}],
}
"""What may stand in the rules. The oracle reads the same values."""

TRAITS: dict[str, list[dict[str, Any]]] = {
    "deletions": [{"on_user_delete": "respect"}, {"on_user_delete": "restore"}],
    "name": [{"folder": "Meetings"}, {"folder": TEAM}],
    "purge": [{"purge_after_sync": True}, {"purge_after_sync": False}],
}
_EXPECTED = (ConflictError, InputError, NotFoundError)


class Admins(Readers):
    """Definitions, runs, faults and time."""

    async def prepare_to_end(self) -> None:
        """Let no sync stay paused."""
        for site, sync in self.syncs:
            await admin.resume_sync(site.process().context, TENANT, sync)

    @deed(2, which=some, trait=st.sampled_from(sorted([*RULES, *TRAITS])), choice=some)
    def change_definition(self, which: int, trait: str, choice: int) -> None:
        """Other rules, another name of the calendar, or another say for its readers."""
        FIRED[f"definition: {trait}"] += 1
        if trait in TRAITS:
            self.redefine(which, TRAITS[trait][choice % len(TRAITS[trait])])
        else:
            site, sync = self.sync(which)
            events = self.definitions[site.installation, sync]["events"]
            self.redefine(which, {"events": {**events, **RULES[trait][choice % len(RULES[trait])]}})
        self.night(which, many=choice % 2 > 0)

    @deed(2, which=some, rest=some, act=st.sampled_from(["all", "include", "exclude", "disable", "enable"]))
    def retarget(self, which: int, rest: int, act: str) -> None:
        """Other mailboxes are to have the mirror, or somebody leaves or comes back."""
        FIRED[f"targets: {act}"] += 1
        if act in ("disable", "enable"):
            self.tenant.enable_user(self.readers[rest % len(self.readers)], enabled=act == "enable")
        else:
            chosen = [user for at, user in enumerate(self.readers) if (rest >> at) & 1]
            self.redefine(which, {"targets": {} if act == "all" else {act: chosen}})
        self.night(which, many=True)

    def redefine(self, which: int, values: dict[str, Any]) -> None:
        """Change a sync."""
        site, sync = self.sync(which)
        if sync == SECOND and "folder" in values:  # syncs of one name share a calendar: that is told elsewhere
            values = {"folder": f"{values['folder']} of the board"}
        changed = {**self.definitions[site.installation, sync], **values}
        self.definitions[site.installation, sync] = changed
        self.do(site.define(changed, sync=sync))

    @deed(2, which=some, resume=chance)
    def undo(self, which: int, resume: bool) -> None:
        """An admin takes the last change back, which pauses the sync, or lets it go on."""
        if not resume:
            self.book(which, which, 60, which)
            self.do(self._request(*self.sync(which)))
        self.do(self._undo(*self.sync(which), resume))
        self.night(which, many=True)

    async def _undo(self, site: Site, sync: str, resume: bool) -> None:
        if resume:
            await site.call(lambda context: admin.resume_sync(context, TENANT, sync), accepted=_EXPECTED)
            return
        await site.drain()
        async for run in newest_runs(site.tables, TENANT):
            if run.sync == sync:
                await site.call(lambda context: undo(context, TENANT, run.run), accepted=_EXPECTED)  # noqa: B023 - at once
                FIRED["undone"] += (await load_sync(site.tables, TENANT, sync)).paused
                return

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
            self.book(3, 9, 60, number)
            self.night(number, many=True)
            self.kept(self.room).delete(Shown(self.events()[-1]))
        self.book(number, number, 60, number, whole=half)
        self.night(number, many=number % 3 > 0)

    @deed(3, after=st.integers(1, 60), where=st.sampled_from(["", "storage", "during network", "after network", "queue"]))
    def kill(self, after: int, where: str) -> None:
        """A worker will die."""
        self.hazards.fuses.append(Fuse(self.hazards.kill, after if where in ("", "storage") else 1 + after % 5, where))
        self.book(after % 10, after % 24, 60, after)
        self.night(after, many=after % 3 > 0)

    @deed(2, after=st.integers(1, 40), which=some, act=st.sampled_from(["storage", "purge"]))
    def mishap(self, after: int, which: int, act: str) -> None:
        """Storage will fail, or somebody will empty the caches, at some moment."""
        effect = self.hazards.fail if act == "storage" else self.sync(which)[0].purge
        self.hazards.fuses.append(Fuse(effect, after, "storage" if act == "storage" else ""))
        self.night(which, many=True)

    def night(self, which: int, *, many: bool) -> None:
        """A run, most of which is carried out."""
        self.do(self._request(*self.sync(which)))
        if many:
            self.do(self._work(25, 1, doubled=False))

    @deed(which=some, count=st.integers(1, 8), at_once=st.integers(1, 3), doubled=chance, interleave=chance)
    def work(self, which: int, count: int, at_once: int, doubled: bool, interleave: bool) -> None:
        """Some messages are delivered, perhaps side by side, perhaps each to two workers at once."""
        self.hazards.interleave = interleave
        self.do(self._request(*self.sync(which)))
        self.do(self._work(count, at_once, doubled=doubled))
        self.hazards.interleave = False

    @deed(2, minutes=st.sampled_from([11, 300, 1500, 4400, 12000]))
    def wait(self, minutes: int) -> None:
        """Time passes, and the window slides."""
        self.do(self.tick(minutes=minutes))

    @deed(which=some)
    def look(self, which: int) -> None:
        """An admin asks for a preview, which changes nothing."""
        site, sync = self.sync(which)
        self.do(site.call(lambda context: self._preview(context, sync), accepted=_EXPECTED))
        self.do(site.call(schedule.schedule_syncs))

    async def _preview(self, context: Any, sync: str) -> None:
        before = self._writes()
        await preview(context, await load_sync(context.tables, TENANT, sync), Page())
        assert self._writes() == before
        FIRED["preview"] += 1

    def _writes(self) -> int:
        counted = self.cloud.counters.templates.items()
        return sum(count for template, count in counted if not template.startswith("GET") and "batch" not in template.lower())

    async def _request(self, site: Site, sync: str, check: Check = Check.DUE) -> None:
        await site.call(
            lambda context: runs.request_run(context, TENANT, sync, check=check, by_hand=True),
            accepted=(ConflictError, InputError),
        )

    async def _work(self, count: int, at_once: int, *, doubled: bool) -> None:
        for _ in range(count):
            for site in self.sites:
                await site.deliver_next(at_once=at_once, doubled=doubled)

    async def preview_shows_nothing(self) -> None:
        """When everything is right, a preview says so."""
        self.clock.advance(timedelta(minutes=1))
        for site, sync in self.syncs:
            shown = await preview(site.process().context, await load_sync(site.tables, TENANT, sync), Page())
            assert shown.holds == []
            assert [mailbox for mailbox in shown.mailboxes if mailbox.changes or mailbox.outcome != "done"] == []
