"""Admins who think better of it: folders called otherwise, runs cancelled or undone, syncs that are paused and go on."""

from __future__ import annotations

from sync_core.engine import admin, runs, undo
from sync_core.engine.context import Context
from sync_core.state.runs import Run, newest_runs
from tests.engine.hazards import Site
from tests.engine.machine.events import FIRED, chance, event, some
from tests.engine.machine.history import CHOICES
from tests.engine.machine.run_acts import EXPECTED, RunActs
from tests.engine.world import TENANT


class SecondThoughts(RunActs):
    """What is begun and not finished, or taken back. Syncs that an undo has paused go on before the end."""

    @event(2, which=some, choice=some, then=some)
    def rename(self, which: int, choice: int, then: int) -> None:
        """A sync's folder is to be called otherwise: what two syncs share, they part, or the other way round."""
        FIRED["renamed"] += 1
        self.redefine(which, CHOICES["name"][choice % len(CHOICES["name"])])
        self.night(which, many=then % 3 > 0)

    @event(which=some, begun=some)
    def cancel(self, which: int, begun: int) -> None:
        """Somebody stops a run that has just begun, or the newest one."""
        if begun % 3:
            self.night(which, many=False)
            self.carry_on(begun % 5)
        self.do(self._cancel(*self.sync(which)))

    async def _cancel(self, site: Site, sync: str) -> None:
        run = await _newest(site, sync)
        if run is not None:
            FIRED["cancelled a run"] += not run.state.final
            await site.call(lambda context: runs.cancel(context, TENANT, run.run), accepted=EXPECTED)

    @event(which=some, changed=chance, number=some)
    def undo(self, which: int, changed: bool, number: int) -> None:
        """Somebody takes the newest run back, most often one that has changed something."""
        if changed:
            self.night(which, many=True)
        self.do(self._undo(*self.sync(which)))
        self.carry_on(number)

    async def _undo(self, site: Site, sync: str) -> None:
        run = await _newest(site, sync)
        if run is None:
            return

        async def take_back(context: Context) -> None:
            await undo.undo(context, TENANT, run.run)
            FIRED["undone"] += 1

        await site.call(take_back, accepted=EXPECTED)

    @event(which=some, paused=chance)
    def pause(self, which: int, paused: bool) -> None:
        """Somebody pauses a sync, or lets it go on."""
        act = admin.pause_sync if paused else admin.resume_sync
        site, sync = self.sync(which)
        FIRED["paused" if paused else "resumed"] += 1
        self.do(site.call(lambda context: act(context, TENANT, sync), accepted=EXPECTED))

    async def calm_down(self) -> None:
        """Let every sync go on."""
        for site, sync in self.syncs:
            await site.call(lambda context: admin.resume_sync(context, TENANT, sync), accepted=EXPECTED)  # noqa: B023 - called at once


async def _newest(site: Site, sync: str) -> Run | None:
    async for run in newest_runs(site.tables, TENANT):
        if run.sync == sync:
            return run
    return None
