"""Clocks for the stand-in: the machine's, which may be set ahead, and a virtual one that leaps when nobody has anything to do."""

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

    def advance(self, seconds: float) -> None:
        """Set the clock ahead."""
        self._offset += timedelta(seconds=seconds)


class VirtualClock:
    """Time that stands still while there is work and leaps to the next sleeper when there is none.

    All sleepers of one event loop must share one instance, and nobody may wait for real input meanwhile.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._ticking = False

    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), future))
        if not self._ticking:
            self._ticking = True
            loop.call_soon(self._tick, loop)
        await future

    def advance(self, seconds: float) -> None:
        """Set the clock ahead; whoever should have woken meanwhile wakes."""
        self._now += timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= self._now:
            self._wake()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self._ticking = False
            return
        if not getattr(loop, "_ready", ()):  # the loop's queue of callbacks: asyncio has no public way to ask whether it is idle
            self._now = max(self._now, self._sleepers[0][0])
            self._wake()
        loop.call_soon(self._tick, loop)

    def _wake(self) -> None:
        future = heapq.heappop(self._sleepers)[2]
        if not future.done():
            future.set_result(None)
