"""How often one tenant may call: a token bucket per tenant, in each process by itself.

A process gives a tenant `PER_SECOND` calls, several give as many times more. It is there so that a script gone wild cannot starve
the other tenants of a worker, not to meter anybody.
"""

from __future__ import annotations

import math
import time

from api.problems import ProblemError

PER_SECOND = 50.0
BURST = 300.0
_MOST_TENANTS = 10_000

_buckets: dict[str, tuple[float, float]] = {}  # tenant: tokens left, and when that was


def check(tenant: str) -> None:
    """Count one call. Raises ProblemError 429 that says when to come back."""
    now = time.monotonic()
    left, since = _buckets.pop(tenant, (BURST, now))
    left = min(BURST, left + (now - since) * PER_SECOND)
    allowed = left >= 1
    _buckets[tenant] = (left - 1 if allowed else left, now)
    if len(_buckets) > _MOST_TENANTS:
        del _buckets[next(iter(_buckets))]  # who has not called for longest has a full bucket
    if not allowed:
        wait = max(1, math.ceil((1 - left) / PER_SECOND))
        raise ProblemError(
            429, "too_many_requests", "Call less often: wait the seconds in Retry-After", headers={"Retry-After": str(wait)}
        )


def forget() -> None:
    """Fill every bucket: nothing was counted."""
    _buckets.clear()
