"""Faults of Microsoft 365, made from a few numbers that a history draws."""

from __future__ import annotations

from local.m365.delta import Expiry
from local.m365.faults import Fault, FaultKind

FAULTS = [kind for kind in FaultKind if kind not in (FaultKind.BUMPED, FaultKind.NEW_IDS, FaultKind.STATE)]


def fault_of(kind: FaultKind, *, times: int, number: int, half: bool, creates: str, changes: str) -> Fault:
    """A fault of this kind; `creates` and `changes` are patterns of the paths on which items are made and changed."""
    fault = Fault(kind, times=times, share=0.5 if half else 1.0)
    match kind:
        case "latency":
            fault.delay = float(1 + number * 5)
        case "throttled":
            fault.retry_after = None if half else 1 + number * 4
        case "error":
            fault.status = (503, 504, 500)[number % 3]
            fault.retry_after = number if number % 2 else None
            fault.scope = "batch" if number > 9 else "request"
        case "dropped":
            fault.scope = "batch" if half else "request"
        case "lost":
            fault.scope = "batch" if number % 2 else "request"
            fault.answer = "504" if number % 3 else "drop"
            if number < 8 and not number % 2:
                fault.method, fault.path = "POST", creates
        case "late":
            fault.delay = 30.0 + number * 30
            fault.method, fault.path = ("POST", creates) if number % 3 else ("PATCH", changes)
        case "tokenExpired":
            fault.style = list(Expiry)[number % 3]
    return fault
