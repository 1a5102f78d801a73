"""When to send again what was not answered well, and for how long to go on.

https://learn.microsoft.com/graph/throttling#best-practices-to-handle-throttling
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from zlib import crc32

import httpx

from cloud.graph.errors import Answer, is_unsent
from sync_core.errors import ParkedError
from sync_core.ports import Clock

PATIENCE = 90.0
"""Seconds after which nothing is sent again; by then the work is better given back."""

_REPEATS = 4
_SHORTEST = 0.5
_LONGEST = 30.0


def is_lost(result: Answer | Exception) -> bool:
    """Whether the request may have been carried out although no good answer came."""
    if isinstance(result, Answer):
        return result.unclear
    return isinstance(result, httpx.HTTPError) and not is_unsent(result)


class Patience:
    """Counts the time and the repeats of one call. The `name` spreads callers over time, the same way every time."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._end = clock.now() + timedelta(seconds=PATIENCE)
        self._unadvised = 0
        self._faults = 0
        self._renewals = 0

    def is_worth(self, result: Answer | Exception, *, repeatable: bool) -> bool:
        """Whether to send the same again."""
        if isinstance(result, Answer):
            if result.ok or result.moving:
                return False
            if result.throttled:
                return True
            if result.status == 401:
                return self._renewals == 0
            fault = result.contended or (result.unclear and repeatable)
        else:
            fault = isinstance(result, httpx.HTTPError) and (repeatable or is_unsent(result))
        return fault and self._faults < _REPEATS

    def wait(self, results: Iterable[Answer | Exception]) -> float:
        """Seconds to wait before all of these go out again. Raises ParkedError when that is too long."""
        delay = 0.0
        faults = renewals = unadvised = 0
        for result in results:
            if isinstance(result, Answer) and result.status == 401:
                renewals = 1
                continue
            if not (isinstance(result, Answer) and result.throttled):
                faults = 1
            asked = result.retry_after if isinstance(result, Answer) else None
            if asked is None:
                unadvised = 1
                asked = self._backoff()
            delay = max(delay, asked, _SHORTEST)
        self._unadvised += unadvised
        self._faults += faults
        self._renewals += renewals
        if self._clock.now() + timedelta(seconds=delay) > self._end:
            raise ParkedError("Graph asks for more time", delay=max(delay, _LONGEST))
        return delay

    def _backoff(self) -> float:
        longest = min(_LONGEST, 2.0**self._unadvised)
        return longest * (0.5 + crc32(f"{self._name}:{self._unadvised}".encode()) / 2**33)
