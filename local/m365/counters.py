"""What was served, counted: the request budgets of the product are measured here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class Width:
    """How many requests of one mailbox were in flight, over time."""

    in_flight: int = 0
    highest: int = 0
    seconds: float = 0.0  # sum over time of the number in flight
    first: datetime | None = None
    last: datetime | None = None

    def turn(self, now: datetime, by: int) -> None:
        """A request began (+1) or ended (-1)."""
        if self.last is None:
            self.first = now
        elif self.in_flight:
            self.seconds += self.in_flight * (now - self.last).total_seconds()
        self.last = now
        self.in_flight += by
        self.highest = max(self.highest, self.in_flight)

    def used(self, width: int = 4) -> float:
        """The share of `width` that was in use from the first request to the last."""
        if self.first is None or self.last is None or self.last == self.first:
            return 0.0
        return self.seconds / (width * (self.last - self.first).total_seconds())


@dataclass(slots=True)
class Counters:
    """Everything served since the start or the last reset."""

    http_calls: int = 0  # calls of Graph; a batch is one
    batches: int = 0
    requests: int = 0  # single requests and batch items
    token_calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)  # "GET /users/{id}/contacts"
    mailboxes: Counter[str] = field(default_factory=Counter)  # requests by mailbox
    mailbox_calls: Counter[str] = field(default_factory=Counter)  # HTTP calls with at least one request for the mailbox
    widths: dict[str, Width] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)  # requests outside directory, contacts and calendars

    def width(self, mailbox: str) -> Width:
        """The width account of a mailbox."""
        found = self.widths.get(mailbox)
        if found is None:
            found = self.widths[mailbox] = Width()
        return found

    def reset(self) -> None:
        """Count from zero again; requests in flight keep their place."""
        flying = {key: width.in_flight for key, width in self.widths.items() if width.in_flight}
        fresh = Counters()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))
        for key, in_flight in flying.items():
            self.widths[key] = Width(in_flight=in_flight, highest=in_flight)

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON-ready values."""
        return {
            "httpCalls": self.http_calls,
            "batches": self.batches,
            "requests": self.requests,
            "tokenCalls": self.token_calls,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "templates": dict(sorted(self.templates.items())),
            "mailboxes": dict(self.mailboxes),
            "mailboxCalls": dict(self.mailbox_calls),
            "widths": {key: {"highest": width.highest, "used": round(width.used(), 4)} for key, width in self.widths.items()},
            "violations": self.violations,
        }
