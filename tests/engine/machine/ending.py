"""How every history ends: faults stop, and after enough quiet runs everything is right and nothing is left to do."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import ClassVar

from sync_core.engine import runs
from sync_core.errors import NotFoundError
from sync_core.model import RunState
from sync_core.state.runs import Check, Run, load_run
from sync_core.state.syncs import load_sync
from tests.engine.hazards import Site
from tests.engine.machine.history import History
from tests.engine.world import TENANT


class Ending(History):
    """The end of a history. `fired` counts what happened, over all histories."""

    fired: ClassVar[Counter[str]]

    async def calm_down(self) -> None:
        """Take back what would keep a run from doing its work."""

    def wrongs(self) -> list[str]:
        """What is not as it should be."""
        raise NotImplementedError

    def teardown(self) -> None:
        """End the history, and check what has become of it unless that is known already."""
        try:
            if not self.broken:
                self.do(self._end())
                for name, count in (*self.cloud.faults.fired.items(), *self.hazards.fired.items()):
                    self.fired[name] += count
                self.fired["histories"] += 1
        finally:
            self.end()

    async def _end(self) -> None:
        self.cloud.faults.clear()
        self.hazards.fuses.clear()
        self.tenant.app.consent = "granted"
        await self.calm_down()
        for _ in range(2):
            await self.tick(minutes=31)
        await self._run_all(Check.DUE)
        await self.tick(minutes=11)
        self.clock.advance(timedelta(hours=25))
        await self._run_all(Check.CHANGES)
        if not self.blind:
            self._check("after quiet nights")
        self.clock.advance(timedelta(days=8))
        await self._run_all(Check.EVERYTHING)
        await self.tick(minutes=11)
        self._check("after a close look")
        for site, sync in self.syncs:
            await self._nothing_is_left_to_do(site, sync)

    def _check(self, when: str) -> None:
        found = [*self.wrongs(), *self.cloud.counters.violations, *self.hazards.wrongs, *self.bugs.found]
        assert not found, "\n".join([when, *found])

    async def _run_all(self, check: Check) -> None:
        for site, sync in self.syncs:
            for _ in range(3):
                run = await self._run(site, sync, check)
                if run is None or (run.state is not RunState.HELD and not run.reasons.get("deletions_held")):
                    break
                await runs.release(site.context, TENANT, run.run)
                await site.drain()

    async def _nothing_is_left_to_do(self, site: Site, sync: str) -> None:
        run = await self._run(site, sync, Check.DUE)
        if run is not None:
            assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0), f"{sync} still does {run.counts}"
            assert (await load_sync(site.tables, TENANT, sync)).active_run == ""

    async def _run(self, site: Site, sync: str, check: Check) -> Run | None:
        """Run a sync to its end; None when it is no more."""
        try:
            run_id = await runs.request_run(site.context, TENANT, sync, check=check, by_hand=True)
        except NotFoundError:
            return None
        await site.drain()
        run = await load_run(site.tables, TENANT, run_id)
        assert run.state.final, f"{run.state} with nothing left to deliver"
        return run
