"""What every scene of the demo works with: who acts, who looks, what is printed, and what was found."""

from __future__ import annotations

import time
from collections.abc import Callable

from local.demo.check import Finding
from local.demo.clients import Admin, Json, Officer, Operator, Reader, StageHand
from local.demo.problems import DemoError
from local.demo.show import Show
from local.demo.stage import Stage
from local.m365.tenant_file import TenantFile

_LOOK_EVERY = 0.2  # seconds
_PATIENCE = 900.0  # seconds
_SOON = 30.0  # seconds
_DAY = 24 * 60 * 60  # seconds


class Performance:
    """One performance, scene by scene."""

    def __init__(self, show: Show, tenant: TenantFile, on: Stage) -> None:
        """Sign everybody in. Raises DemoError."""
        self.show = show
        self.tenant = tenant
        self.findings: list[Finding] = []
        self.served: Json = {}  # what Microsoft 365 served for the last run
        self._stage = on
        self.sign_in()

    def sign_in(self) -> None:
        """Get new tokens: a day later the old ones have expired."""
        self.admin = Admin(self._stage, self.tenant)
        self.officer = Officer(self._stage, self.tenant)
        self.hand = StageHand(self._stage, str(self.tenant.id))
        self.reader = Reader(self._stage, self.tenant)

    def run(
        self,
        title: str,
        start: Callable[[], str],
        *,
        good: tuple[str, ...] = ("succeeded", "partial"),
        of: str = "People",
    ) -> Json:
        """Start a run, follow it to its end, and show its report. Raises DemoError when it does not end well.

        `of` is what the run's items are called.
        """
        self.hand.reset()
        run_id = start()
        deadline = time.monotonic() + _PATIENCE
        with self.show.progress(title) as progress:
            while (run := self.admin.run(run_id))["state"] in ("queued", "running"):
                if time.monotonic() > deadline:
                    raise DemoError(f"{title} is still {run['state']} after {_PATIENCE:.0f} s", "Read the logs in .local/demo")
                progress.update(run, self.hand.counters())
                time.sleep(_LOOK_EVERY)
        self.served = self.hand.counters()
        self.show.run(title, run, of)
        if run["state"] not in good:
            raise DemoError(
                f"the run is {run['state']}: {run['reason']} {run['detail'] or ''}".rstrip(),
                "docs/operations.md says what this reason means",
            )
        return run

    def wait_a_day(self) -> None:
        """Set the clocks of Microsoft 365 and of the app ahead."""
        self.hand.advance(_DAY)
        Operator(self._stage).advance(_DAY)
        self.sign_in()

    def start_by_timer(self, sync: str) -> str:
        """Let the timer start what is due; the id of this sync's run. Raises DemoError when there is none."""
        before = self.admin.newest_run(sync)
        Operator(self._stage).fire("schedule_syncs")
        deadline = time.monotonic() + _SOON
        while (newest := self.admin.newest_run(sync)) == before:
            if time.monotonic() > deadline:
                raise DemoError(f"the timer has not started {sync}", "Read the logs in .local/demo")
            time.sleep(_LOOK_EVERY)
        return newest

    def judge(self, *findings: Finding) -> None:
        """Show what was found, and remember it."""
        self.findings += findings
        self.show.findings(findings)
