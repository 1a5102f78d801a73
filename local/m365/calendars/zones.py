"""Times with a zone as Graph takes and shows them (graph/api/resources/datetimetimezone)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from local.m365.wire import GraphError

_LONGEST = len("2026-01-01T00:00:00")


# The names of IANA that the page lists; it spells four of them both ways
_OLSON = """
Etc/GMT+12 Etc/GMT+11 Etc/GMT+2 Etc/GMT Etc/GMT-12 Pacific/Honolulu Pacific/Port_Moresby Pacific/Guadalcanal Pacific/Auckland
Pacific/Fiji Pacific/Tongatapu Pacific/Apia Pacific/Kiritimati America/Anchorage America/Santa_Isabel America/Los_Angeles
America/Phoenix America/Chihuahua America/Denver America/Guatemala America/Chicago America/Mexico_City America/Regina
America/Bogota America/New_York America/Indiana/Indianapolis America/Caracas America/Asuncion America/Halifax America/Cuiaba
America/La_Paz America/Santiago America/St_Johns America/Sao_Paulo America/Argentina/Buenos_Aires America/Cayenne
America/Godthab America/Montevideo America/Bahia Atlantic/Azores Atlantic/Cape_Verde Atlantic/Reykjavik Africa/Casablanca
Africa/Lagos Africa/Windhoek Africa/Cairo Africa/Johannesburg Africa/Nairobi Europe/London Europe/Berlin Europe/Budapest
Europe/Paris Europe/Warsaw Europe/Bucharest Europe/Kyiv Europe/Kiev Europe/Istanbul Europe/Kaliningrad Europe/Moscow
Asia/Beirut Asia/Damascus Asia/Jerusalem Asia/Amman Asia/Baghdad Asia/Riyadh Asia/Tehran Asia/Dubai Asia/Baku Asia/Tbilisi
Asia/Yerevan Asia/Kabul Asia/Karachi Asia/Tashkent Asia/Kolkata Asia/Colombo Asia/Kathmandu Asia/Almaty Asia/Dhaka
Asia/Yekaterinburg Asia/Yangon Asia/Rangoon Asia/Bangkok Asia/Novosibirsk Asia/Shanghai Asia/Krasnoyarsk Asia/Singapore
Asia/Taipei Asia/Ulaanbaatar Asia/Irkutsk Asia/Tokyo Asia/Seoul Asia/Yakutsk Asia/Vladivostok Asia/Magadan Indian/Mauritius
Australia/Perth Australia/Adelaide Australia/Darwin Australia/Brisbane Australia/Sydney Australia/Hobart
"""


@cache
def zone(name: str) -> ZoneInfo:
    """A zone by the name of Windows, or one of those of IANA that Graph takes. Raises GraphError."""
    if name in WINDOWS_TO_OLSON or name in _OLSON.split():
        return ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    message = f"A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name}'."
    raise GraphError(400, "TimeZoneNotSupportedException", message)


def local(value: Any) -> datetime:
    """The wall time of a dateTimeTimeZone, without its zone. Raises GraphError."""
    try:
        found = datetime.fromisoformat(value["dateTime"][:_LONGEST])
    except (ValueError, TypeError, KeyError):
        raise GraphError(400, "ErrorPropertyValidationFailure", "At least one property failed validation.") from None
    return found.replace(tzinfo=None)


def zone_of(value: dict[str, Any]) -> ZoneInfo:
    """The zone of a dateTimeTimeZone, which must name one. Raises GraphError."""
    return zone(value.get("timeZone") or "")


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
