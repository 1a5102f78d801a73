"""Throttling (graph/throttling-limits)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from local.m365.wire import GraphError

WINDOW = 600.0  # seconds of the Outlook service's request limit
UPLOAD_WINDOW = 300.0  # seconds of its upload limit
BUCKET = 10.0  # seconds in which a directory's resource units come back


@dataclass(slots=True)
class MailboxLimits:
    """One app's use of one mailbox: at most 4 requests at a time, 10,000 in 10 minutes, and 150 MB sent in 5 minutes."""

    concurrency: int = 4
    per_window: int = 10_000
    per_upload_window: int = 150_000_000  # bytes
    in_flight: int = 0
    window_start: datetime | None = None
    in_window: int = 0
    upload_start: datetime | None = None
    uploaded: int = 0

    def enter(self, now: datetime, retry_after: int, size: int = 0) -> None:
        """Count a request in that sends `size` bytes. Raises GraphError 429; what is throttled counts as well."""
        if self.window_start is None or (now - self.window_start).total_seconds() >= WINDOW:
            self.window_start, self.in_window = now, 0
        self.in_window += 1
        if self.in_window > self.per_window:
            left = max(1, int(WINDOW - (now - self.window_start).total_seconds()) + 1)
            raise throttled("Application is over its MailboxRequests limit.", left)
        if size:
            if self.upload_start is None or (now - self.upload_start).total_seconds() >= UPLOAD_WINDOW:
                self.upload_start, self.uploaded = now, 0
            self.uploaded += size
            if self.uploaded > self.per_upload_window:
                left = max(1, int(UPLOAD_WINDOW - (now - self.upload_start).total_seconds()) + 1)
                raise throttled("Application is over its MailboxUpload limit.", left)
        if self.in_flight >= self.concurrency:
            raise throttled("Application is over its MailboxConcurrency limit.", retry_after)
        self.in_flight += 1

    def leave(self) -> None:
        """Count a request out."""
        self.in_flight -= 1


@dataclass(slots=True)
class DirectoryLimits:
    """One app's use of one tenant's directory: a bucket of resource units that fills again within 10 seconds."""

    level: float = 0.0  # units taken
    at: datetime | None = None

    def take(self, now: datetime, units: int, users: int) -> dict[str, str]:
        """Pay for a request. Returns the headers of its answer. Raises GraphError 429."""
        capacity = 3_500 if users < 50 else 5_000 if users <= 500 else 8_000
        if self.at is not None:
            self.level = max(0.0, self.level - (now - self.at).total_seconds() * capacity / BUCKET)
        self.at = now
        if self.level + units > capacity:
            wait = max(1, int((self.level + units - capacity) * BUCKET / capacity) + 1)
            error = throttled("Too many requests.", wait, code="TooManyRequests")
            error.headers |= {
                "x-ms-throttle-scope": "Tenant_Application/ReadWrite",
                "x-ms-throttle-information": "ResourceUnitLimitExceeded",
            }
            raise error
        self.level += units
        headers = {"x-ms-resource-unit": str(units)}
        if self.level > 0.8 * capacity:
            headers["x-ms-throttle-limit-percentage"] = f"{self.level / capacity:.2f}"
        return headers


def resource_units(template: str, query: dict[str, str]) -> int:
    """What a directory request costs (graph/throttling-limits#resource-unit-cost)."""
    units = {"/users": 2, "/users/delta": 2, "/groups/{id}/members": 3, "/groups/{id}/transitivemembers": 5}.get(template, 1)
    if "$select" in query:
        units -= 1
    if "$expand" in query:
        units += 1
    if query.get("$top", "").isdigit() and int(query["$top"]) < 20:
        units -= 1
    return max(1, units)


def throttled(message: str, retry_after: int, *, code: str = "ApplicationThrottled") -> GraphError:
    """A 429 with its waiting time."""
    return GraphError(429, code, message, {"Retry-After": str(retry_after)})


def uploaded(method: str, body: object) -> int:
    """How many bytes a photo has, which a batch sends as base64. Everything else is small beside the limit of requests."""
    if method != "PUT" or not isinstance(body, bytes | str):
        return 0
    return len(body) if isinstance(body, bytes) else len(body) * 3 // 4 - body.count("=")
