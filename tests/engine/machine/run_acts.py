"""What admins of Rollcall do, and what goes by itself: definitions, runs, messages, time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from sync_core.engine import admin, runs, schedule
from sync_core.errors import ConflictError, InputError, NotFoundError
from sync_core.messages import as_dict, parse
from sync_core.model import RunState
from sync_core.state.runs import Check, newest_runs
from sync_core.state.syncs import load_sync
from tests.engine.hazards import Site
from tests.engine.machine.directory import DirectoryActs
from tests.engine.machine.events import FIRED, chance, event, some
from tests.engine.machine.history import CHOICES, INNER, OUTER
from tests.engine.world import STEPS, TENANT

EXPECTED = (ConflictError, InputError, NotFoundError)


class RunActs(DirectoryActs):
    """Syncs and their runs."""

    @event(which=some, rest=some, act=st.sampled_from(["all", "exclude", "include", "group"]))
    def retarget(self, which: int, rest: int, act: str) -> None:
        """Other mailboxes are to have the list."""
        users = list(self.tenant.directory.users.objects)
        chosen = tuple(user for at, user in enumerate(users) if (rest >> at) & 1)
        by_act: dict[str, dict[str, Any]] = {"all": {}, "group": {"include": {"groups": (INNER if rest % 2 else OUTER,)}}}
        kept = {"leavers": "keep"} if self.traits[self.sync(which)[1]].get("targets") else {}
        self.redefine(which, {"targets": {**kept, **by_act.get(act, {act: chosen})}})

    @event(which=some, trait=st.sampled_from(sorted(CHOICES)), choice=some)
    def change_definition(self, which: int, trait: str, choice: int) -> None:
        """Another list, another name of the folder, or another say for the users."""
        FIRED[f"definition: {trait}"] += 1
        self.redefine(which, CHOICES[trait][choice % len(CHOICES[trait])])

    def redefine(self, which: int, values: dict[str, Any]) -> None:
        """Change a sync that is not being deleted."""
        site, sync = self.sync(which)
        definition = self.definitions.get((site.installation, sync))
        if definition is not None:
            changed = {**definition, **values}
            self.definitions[site.installation, sync] = changed
            self.do(site.define(changed, sync=sync))

    def night(self, which: int, *, many: bool) -> None:
        """A run with something to write, on schedule or by hand, most of which is carried out."""
        self.stir(which)
        if which % 2:
            self.wait(1500)
        else:
            self.request(which // 2, list(Check)[which % 3])
        if many:
            self.carry_on(20)

    @event(which=some, check=st.sampled_from(Check))
    def request(self, which: int, check: Check) -> None:
        site, sync = self.sync(which)
        self.do(site.call(lambda context: runs.request_run(context, TENANT, sync, check=check, by_hand=True), accepted=EXPECTED))

    @event(count=st.integers(1, 6), at_once=st.integers(1, 3), doubled=chance, interleave=chance)
    def work(self, count: int, at_once: int, doubled: bool, interleave: bool) -> None:
        """Some messages are delivered, perhaps side by side, perhaps each to two workers at once."""
        self.hazards.interleave = interleave
        self.do(self._work(count, at_once, doubled))
        self.hazards.interleave = False

    async def _work(self, count: int, at_once: int, doubled: bool) -> None:
        for _ in range(count):
            for site in self.sites:
                await site.deliver_next(at_once=at_once, doubled=doubled)

    @event(which=some, back=some)
    def repeat(self, which: int, back: int) -> None:
        """An old message comes once more."""
        site = self.sync(which)[0]
        if site.sent:
            delivery = site.sent[-1 - back % len(site.sent)]
            FIRED["message repeated"] += 1
            self.do(site.queues.send(delivery.queue, as_dict(parse(STEPS[delivery.queue][0], delivery.body))))

    @event(minutes=st.sampled_from([1, 4, 11, 31, 300, 1500, 4400, 12000]))
    def wait(self, minutes: int) -> None:
        """Time passes, and the schedule's timer fires."""
        self.clock.advance(timedelta(minutes=minutes))
        for site in self.sites:
            self.do(site.call(schedule.schedule_syncs))

    @event(limit=st.integers(5, 40))
    def carry_on(self, limit: int) -> None:
        """What is to be done is mostly done."""
        self.do(self._work(limit, 1, False))

    @event(which=some)
    def delete_sync(self, which: int) -> None:
        site, sync = self.sync(which)
        if (site.installation, sync) in self.definitions:
            keep = "targets" in self.traits[sync]
            self.do(site.call(lambda context: admin.delete_sync(context, TENANT, sync, keep_contacts=keep), accepted=EXPECTED))
            self.do(self._note_deletion(site, sync))

    async def _note_deletion(self, site: Site, sync: str) -> None:
        try:
            deleted = (await load_sync(site.tables, TENANT, sync)).deleting
        except NotFoundError:
            deleted = True
        if deleted:
            FIRED["sync deleted"] += 1
            self.deleting[site.installation, sync] = self.definitions.pop((site.installation, sync))

    @event()
    def create_sync(self) -> None:
        """A deleted sync is made anew, once it is gone."""
        for installation, sync in sorted(self.deleting):
            site = next(site for site in self.sites if site.installation == installation)
            self.do(self._create_sync(site, sync))

    async def _create_sync(self, site: Site, sync: str) -> None:
        try:
            await site.define(self.definition(sync), sync=sync)
        except InputError:
            return  # it is still being deleted
        FIRED["sync made anew"] += 1
        del self.deleting[site.installation, sync]
        self.definitions[site.installation, sync] = self.definition(sync)

    @event(which=some, release=chance)
    def judge(self, which: int, release: bool) -> None:
        """A person releases or drops what is held."""
        self.do(self._judge(*self.sync(which), release))

    async def _judge(self, site: Site, sync: str, release: bool) -> None:
        async for run in newest_runs(site.tables, TENANT):
            if run.sync == sync:
                if run.state is RunState.HELD or run.reasons.get("deletions_held"):
                    FIRED["released" if release else "dropped a run"] += 1
                    act = runs.release if release else runs.drop
                    await site.call(lambda context: act(context, TENANT, run.run), accepted=EXPECTED)  # noqa: B023 - called at once
                return
