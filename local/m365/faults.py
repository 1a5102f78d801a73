"""Switches that make the stand-in behave as Microsoft 365 does on a bad day. Each counts how often it fired."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Literal, Protocol

from local.m365.delta import Expiry
from local.m365.limits import throttled
from local.m365.wire import ConnectionDropped, GraphError

_CODES = {500: "InternalServerError", 503: "ServiceUnavailable", 504: "GatewayTimeout", 507: "ErrorQuotaExceeded"}


class FaultKind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"  # the request takes `delay` seconds longer
    THROTTLED = "throttled"  # 429 with `retry_after`, not executed
    ERROR = "error"  # `status` and `code`, not executed
    DROPPED = "dropped"  # the connection ends, not executed
    LOST = "lost"  # executed, but the connection ends, or 504 with `answer` "504" and in a batch
    LATE = "late"  # 504 now, executed `delay` seconds later
    DELETE_NOT_FOUND = "deleteNotFound"  # a DELETE is executed and answered 404
    TOKEN_EXPIRED = "tokenExpired"  # a delta token is refused, in `style`
    EMPTY_PAGE = "emptyPage"  # a delta page without objects, but with a nextLink
    REMOVED_EARLY = "removedEarly"  # a first round tells of objects that were removed before it began
    REPEATED = "repeated"  # a delta page tells of its first object twice
    REPLAYED = "replayed"  # a delta round tells of changes again that were told before
    MISSED = "missed"  # a change that no delta query will tell of
    # what tests do to a mailbox by hand is counted under these
    BUMPED = "bumped"  # change keys changed without an edit
    NEW_IDS = "newIds"  # item ids changed
    STATE = "state"  # a mailbox state was set


class Subject(Protocol):
    """What a fault looks at to decide whether it concerns a request."""

    method: str
    path: str
    template: str

    @property
    def mailbox_id(self) -> str:
        """The mailbox, or nothing."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""


@dataclass(slots=True, eq=False)
class Fault:
    """One fault. It strikes requests that match all that is set, with probability `share`, at most `times` times, for `seconds`.

    `scope` "request": single requests and batch items; "batch": whole batch calls; "all": either.
    """

    kind: FaultKind
    times: int | None = None
    share: float = 1.0
    seconds: float | None = None
    scope: Literal["request", "batch", "all"] = "request"
    method: str = ""
    path: str = ""  # regular expression, searched in the path with its query
    template: str = ""
    mailbox: str = ""  # user id
    tenant: str = ""
    object: str = ""  # for MISSED: "user", "group", "orgContact" or "contact"
    delay: float = 0.0
    status: int = 503
    code: str = ""
    retry_after: int | None = None
    answer: Literal["drop", "504"] = "drop"
    style: Expiry = Expiry.SYNC_STATE_NOT_FOUND
    predicate: Callable[[Subject], bool] | None = None
    fired: int = 0
    until: datetime | None = None

    def matches(self, subject: Subject, *, whole_batch: bool) -> bool:
        """Whether the request is one that the fault is about."""
        if self.scope != "all" and (self.scope == "batch") is not whole_batch:
            return False
        return (
            (not self.method or self.method == subject.method)
            and (not self.template or self.template.lower() == subject.template)
            and (not self.mailbox or self.mailbox == subject.mailbox_id)
            and (not self.tenant or self.tenant == subject.tenant_id)
            and (not self.path or re.search(self.path, subject.path) is not None)
            and (self.predicate is None or self.predicate(subject))
        )

    def refusal(self) -> Exception:
        """What a request that is refused by this fault gets for an answer."""
        if self.kind is FaultKind.DROPPED:
            return ConnectionDropped(executed=False)
        if self.kind is FaultKind.THROTTLED:
            error = throttled("Application is over its MailboxConcurrency limit.", self.retry_after or 0)
            if self.retry_after is None:
                error.headers.clear()
            return error
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        code = self.code or _CODES.get(self.status, "UnknownError")
        return GraphError(self.status, code, "The service is not available.", headers)


class Faults:
    """The faults in force."""

    def __init__(self, now: Callable[[], datetime], seed: int = 0) -> None:
        self.active: list[Fault] = []
        self.fired: Counter[str] = Counter()
        self._now = now
        self._random = Random(seed)

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force, after those there are."""
        if fault.seconds is not None:
            fault.until = self._now() + timedelta(seconds=fault.seconds)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Lift every fault. The counts stay."""
        self.active.clear()

    def strike(self, kinds: frozenset[FaultKind], subject: Subject, *, whole_batch: bool = False) -> Fault | None:
        """The first fault of these kinds that strikes the request now."""
        for fault in list(self.active):
            if fault.kind in kinds and fault.matches(subject, whole_batch=whole_batch) and self._fires(fault):
                return fault
        return None

    def latency(self, subject: Subject, *, whole_batch: bool = False) -> float:
        """The seconds that all latency faults add to the request."""
        total = 0.0
        for fault in list(self.active):
            if fault.kind is FaultKind.LATENCY and fault.matches(subject, whole_batch=whole_batch) and self._fires(fault):
                total += fault.delay
        return total

    def misses(self, kind: str, owner: str) -> bool:
        """Whether delta queries will miss a change of an object of this kind (in the mailbox of `owner`)."""
        for fault in list(self.active):
            if (
                fault.kind is FaultKind.MISSED
                and fault.object in ("", kind)
                and fault.mailbox in ("", owner)
                and self._fires(fault)
            ):
                return True
        return False

    def count(self, kind: FaultKind, times: int = 1) -> None:
        """Count what was done to a mailbox by hand."""
        self.fired[kind.value] += times

    def _fires(self, fault: Fault) -> bool:
        if fault.until is not None and self._now() >= fault.until:
            self.active.remove(fault)
            return False
        if fault.share < 1 and self._random.random() >= fault.share:
            return False
        if fault.times is not None:
            if fault.times <= 0:
                self.active.remove(fault)
                return False
            fault.times -= 1
        fault.fired += 1
        self.fired[fault.kind.value] += 1
        return True
