"""What a view of a calendar says of one event or occurrence, in a form that depends on nothing but its content.

Series come as their occurrences. Names of people stay, their addresses do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from sync_core import texts
from sync_core.windows import DAY, moment
from sync_core.zones import in_zone, windows_name

ASKED: tuple[str, ...] = (
    *("id", "iCalUId", "type", "seriesMasterId", "originalStart", "start", "end", "isAllDay"),
    *("originalStartTimeZone", "originalEndTimeZone"),
    *("subject", "body", "location", "showAs", "categories", "sensitivity", "organizer", "attendees", "responseStatus"),
    *("isCancelled", "onlineMeeting", "onlineMeetingUrl", "webLink"),
)
"""The properties that `occurrence_of` reads; body as text and times in UTC."""

LONGEST_BODY = 8_000
LONGEST_LINK = 2_000
_MOST_NAMES = 100
_MIDNIGHT, _NOON = "00:00:00", "12:00:00"

Occurrence = dict[str, Any]


def occurrence_of(raw: Mapping[str, Any]) -> Occurrence:
    """An event of a view. `start` and `end` are times in UTC without offset, or days where it lasts all day.

    `zone` and `end_zone` are where it was made (despite their names, Graph's properties tell the zones of start and end as they
    are now: microsoft-graph-docs issue 2804), by names of Windows.
    """
    all_day = bool(raw.get("isAllDay"))
    zone = windows_name(raw.get("originalStartTimeZone"))
    start, end = (moment((raw.get(side) or {}).get("dateTime") or "") for side in ("start", "end"))
    if all_day:
        start, end = _day(start, zone), _day(end, zone)
    online = raw.get("onlineMeeting") or {}
    return {
        "start": start,
        "end": max(end, _next_day(start)) if all_day else end,
        "zone": zone,
        "end_zone": zone if all_day else windows_name(raw.get("originalEndTimeZone") or zone),
        "subject": texts.line(raw.get("subject")) or "",
        "text": _text((raw.get("body") or {}).get("content")),
        "location": texts.line((raw.get("location") or {}).get("displayName")) or "",
        "showAs": raw.get("showAs") or "busy",
        "categories": sorted({name for name in map(texts.line, raw.get("categories") or ()) if name}),
        "sensitivity": raw.get("sensitivity") or "normal",
        "organizer": _name(raw.get("organizer")),
        "attendees": list(_names(raw.get("attendees")))[:_MOST_NAMES],
        "response": (raw.get("responseStatus") or {}).get("response") or "none",
        "cancelled": bool(raw.get("isCancelled")),
        "join": _link(online.get("joinUrl") or raw.get("onlineMeetingUrl")),
        "link": _link(raw.get("webLink")),
    }


def origin_of(raw: Mapping[str, Any]) -> tuple[str, str]:
    """The id of the series and the day on which it has this occurrence; of any other event its own id and no day."""
    series = raw.get("seriesMasterId")
    if not series:
        return raw["id"], ""
    original = raw.get("originalStart") or (raw.get("start") or {}).get("dateTime") or ""
    return series, original[:DAY].replace("-", "")


def _day(text: str, zone: str) -> str:
    """The day that begins at a midnight. Should that come shifted by its zone, the zone tells, or else the nearest midnight."""
    if not text.endswith(_MIDNIGHT):
        text = in_zone(text, zone) or text
    return text[:DAY] if text[DAY + 1 :] < _NOON else _next_day(text)


def _next_day(text: str) -> str:
    return (date.fromisoformat(text[:DAY]) + timedelta(days=1)).isoformat()


def _text(content: str | None) -> str:
    """Printable lines, no more than one empty line between two."""
    lines: list[str] = []
    for line in (content or "").splitlines():
        text = texts.line(line, LONGEST_BODY) or ""
        if text or (lines and lines[-1]):
            lines.append(text)
    joined = "\n".join(lines).rstrip()
    return joined if len(joined) <= LONGEST_BODY else f"{joined[:LONGEST_BODY].rstrip()} …"


def _link(address: str | None) -> str:
    """A link of reasonable length: half of one leads nowhere."""
    if not address or len(address) > LONGEST_LINK:
        return ""
    return texts.line(address, LONGEST_LINK) or ""


def _name(person: Mapping[str, Any] | None) -> str:
    return texts.line(((person or {}).get("emailAddress") or {}).get("name")) or ""


def _names(people: Iterable[Mapping[str, Any]] | None) -> Iterable[str]:
    return sorted({name for name in map(_name, people or ()) if name})
