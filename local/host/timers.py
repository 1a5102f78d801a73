"""Fires timers on their schedule.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import datetime

from azure.functions.timer import TimerRequest
from croniter import CroniterBadCronError, croniter

from local.host.functions import Function, Work
from sync_core.ports import Clock

_log = logging.getLogger(__name__)


class Schedule:
    """An NCRONTAB expression of six fields: second, minute, hour, day, month, day of week."""

    def __init__(self, expression: str) -> None:
        """Raises ValueError for anything else."""
        # croniter knows more than NCRONTAB does (L, #, hashes, other meanings of six fields): let in what both understand alike.
        if not re.fullmatch(r"(?:[0-9*/,-]|[A-Za-z]{3})+(?: (?:[0-9*/,-]|[A-Za-z]{3})+){5}", expression):
            raise ValueError(f"not an NCRONTAB expression of six fields: {expression}")
        try:
            croniter(expression, second_at_beginning=True)
        except CroniterBadCronError:
            raise ValueError(f"not an NCRONTAB expression of six fields: {expression}") from None
        self._expression = expression

    def after(self, moment: datetime) -> datetime:
        """The first occurrence after `moment`. Where day and day of week are both given, both must hold."""
        found: datetime = croniter(self._expression, moment, second_at_beginning=True, day_or=False).get_next(datetime)
        return found


class Timer:
    """One timer function. Its runs never overlap; an occurrence that comes while it runs is late, several are one."""

    def __init__(self, function: Function, schedule: Schedule, clock: Clock, work: Work) -> None:
        """Nothing happens before `run` or `fire`."""
        self._function = function
        self._schedule = schedule
        self._clock = clock
        self._work = work
        self._one_at_a_time = asyncio.Lock()
        self._last: datetime | None = None

    async def run(self) -> None:
        """Fire on schedule until cancelled; a run under way goes on. A run that fails waits for the next occurrence."""
        if self._function.trigger.get("runOnStartup"):
            await self._fire_quietly(past_due=False)
        due = self._schedule.after(self._clock.now())
        while True:
            while (remaining := (due - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(remaining)
            # Late by a whole period: the machine slept, or the run before took long.
            await self._fire_quietly(past_due=self._schedule.after(due) <= self._clock.now())
            due = self._schedule.after(max(due, self._clock.now()))

    async def fire(self, *, past_due: bool = False) -> None:
        """Run the function now, after a run that is under way. Raises what it raises."""
        await asyncio.shield(self._work.start(self._invoke(past_due)))

    async def _fire_quietly(self, *, past_due: bool) -> None:
        try:
            await self.fire(past_due=past_due)
        except Exception:
            _log.exception("%s failed", self._function.name)

    async def _invoke(self, past_due: bool) -> None:
        async with self._one_at_a_time:
            now = self._clock.now()
            status = {
                "Last": self._last.isoformat() if self._last else None,
                "Next": self._schedule.after(now).isoformat(),
                "LastUpdated": now.isoformat(),
            }
            await self._function.invoke(TimerRequest(past_due=past_due, schedule_status=status))
            self._last = now
