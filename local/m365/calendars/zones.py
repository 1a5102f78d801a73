"""Times with a zone as Graph takes and shows them (graph/api/resources/datetimetimezone)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from local.m365.wire import GraphError

_LONGEST = len("2026-01-01T00:00:00")


@cache
def zone(name: str) -> ZoneInfo:
    """A zone by its Windows or IANA name. Raises GraphError."""
    try:
        return ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name}'."
        raise GraphError(400, "TimeZoneNotSupportedException", message) from None


def local(value: Any) -> datetime:
    """The wall time of a dateTimeTimeZone, without its zone. Raises GraphError."""
    try:
        found = datetime.fromisoformat(value["dateTime"][:_LONGEST])
    except (ValueError, TypeError, KeyError):
        raise GraphError(400, "ErrorPropertyValidationFailure", "At least one property failed validation.") from None
    return found.replace(tzinfo=None)


def zone_of(value: dict[str, Any]) -> ZoneInfo:
    """The zone of a dateTimeTimeZone: UTC unless it names one. Raises GraphError."""
    return zone(value.get("timeZone") or "UTC")


def moment(value: dict[str, Any]) -> datetime:
    """The moment that a dateTimeTimeZone means. Raises GraphError."""
    return local(value).replace(tzinfo=zone_of(value)).astimezone(UTC)


def shown(at: datetime, name: str) -> dict[str, str]:
    """A moment in a zone as Graph writes it: seven digits of a second."""
    wall = at if at.tzinfo is None else at.astimezone(zone(name))
    return {"dateTime": f"{wall:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": name}


def asked(text: str | None, name: str) -> datetime:
    """A moment in a query; without an offset it is in UTC. Raises GraphError."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        message = "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime."
        raise GraphError(400, "ErrorInvalidParameter", f"{message} ({name})") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
