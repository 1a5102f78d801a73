"""Clocks for one machine: its own, which may be set ahead, and a virtual one that leaps when nobody has anything to do."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

EPOCH = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)


class SystemClock:
    """The machine's clock plus an offset."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """The time now, in UTC."""
        return datetime.now(UTC) + self._offset

    async def sleep(self, seconds: float) -> None:
        """Wait, in real time."""
        await asyncio.sleep(seconds)

    def advance(self, by: timedelta) -> None:
        """Set the clock ahead."""
        self._offset += by


class VirtualClock:
    """Time that stands still until somebody sleeps or advances it.

    When every task waits, time jumps to the earliest deadline and that sleeper alone wakes; so sleepers wake in the order
    of their deadlines, whatever they do in between, as in real time. All sleepers of one event loop must share one instance,
    and nobody may wait for real input meanwhile.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._watched: asyncio.AbstractEventLoop | None = None

    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Let time pass at once. Those whose deadline lies in it wake in order."""
        self._now += by

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._watched is not loop:  # the former loop is gone, and its sleepers with it
            self._sleepers.clear()
            self._watched = loop
        if not self._sleepers:
            loop.call_soon(self._watch, loop, 0)
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), future))
        await future

    def _watch(self, loop: asyncio.AbstractEventLoop, quiet: int) -> None:
        """Run in every round of the loop while somebody sleeps; two rounds in which nothing else was ready are silence."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers or loop is not self._watched:
            return
        quiet = 0 if vars(loop)["_ready"] else quiet + 1  # asyncio has no public way to ask whether a loop is idle
        if quiet == 2:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, deadline)
            future.set_result(None)
            quiet = 0
        if self._sleepers:
            loop.call_soon(self._watch, loop, quiet)
