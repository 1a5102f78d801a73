"""From an occurrence of a calendar to the event that phones show.

Every occurrence becomes a single event without attendees, so that Exchange mails nothing. Times are written in the zone they were
made in, as people see it in Outlook's form; in UTC within an hour that this zone has twice. Whole days are days only in a zone.
https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sync_core import marks, texts
from sync_core.encoding import kept
from sync_core.model import Item
from sync_core.windows import DAY, moment
from sync_core.zones import UTC_NAME, in_utc, in_zone, windows_name

if TYPE_CHECKING:
    from sync_core.event_rules import EventRules
    from sync_core.fingerprints import Fingerprinter
    from sync_core.occurrences import Occurrence

_ZONES = {"start": "originalStartTimeZone", "end": "originalEndTimeZone"}
OWNED_FIELDS: tuple[str, ...] = (
    *("subject", "body", "start", "end", "isAllDay", "location", "showAs", "categories", "sensitivity", "isReminderOn"),
    *_ZONES.values(),
)
"""What a sync owns that asks for no reminders."""

FIELDS: tuple[str, ...] = (*OWNED_FIELDS, "reminderMinutesBeforeStart")
"""What a sync can own."""

ORGANISER, ATTENDEES = "Organiser", "Attendees"
"""What stands before the names of people, on lines of their own below the text."""

_NEVER = {"isOnlineMeeting": False, "responseRequested": False}
_SHOWN = frozenset({"free", "tentative", "busy", "oof", "workingElsewhere"})


def owned(rules: EventRules) -> tuple[str, ...]:
    """The fields that a sync with these rules writes, reads and compares."""
    return OWNED_FIELDS if rules.reminder_minutes is None else FIELDS


def item_of(
    occurrence: Occurrence,
    *,
    key: str,
    installation: str,
    sync: str,
    fingerprinter: Fingerprinter,
    rules: EventRules,
    prefix: str | None = None,
    category: str | None = None,
) -> Item:
    """The occurrence as an item ready to be written, our marks included; `prefix` and `category` are those of its source."""
    event = event_of(rules.told(occurrence), rules, prefix=prefix, category=category)
    fingerprint = fingerprinter.of(event)
    event["singleValueExtendedProperties"] = [
        {"id": marks.KEY_PROPERTY, "value": marks.item_mark(installation, sync, key)},
        {"id": marks.FINGERPRINT_PROPERTY, "value": fingerprint},
    ]
    return Item(key, fingerprint, kept(written(event) | _NEVER))


def event_of(told: Occurrence, rules: EventRules, *, prefix: str | None, category: str | None) -> dict[str, Any]:
    """The owned fields of an event, each present, as Graph reads them back: times in UTC, and beside them their zones."""
    zones = _zones(told)
    subject = f"{prefix} {told['subject']}" if prefix else told["subject"]
    event: dict[str, Any] = {
        "subject": texts.line(subject) or "",
        "body": {"contentType": "text", "content": "\r\n".join(_body(told))},
        "start": {"dateTime": moment(told["start"]), "timeZone": UTC_NAME},
        "end": {"dateTime": moment(told["end"]), "timeZone": UTC_NAME},
        "isAllDay": len(told["start"]) == DAY,
        "location": {"displayName": told["location"]},
        "showAs": told["showAs"] if told["showAs"] in _SHOWN else "busy",
        "categories": sorted({*told["categories"], *([category] if category else ())}),
        "sensitivity": told["sensitivity"],
        "isReminderOn": rules.reminder_minutes is not None,
        _ZONES["start"]: zones[0],
        _ZONES["end"]: zones[1],
    }
    if rules.reminder_minutes is not None:
        event["reminderMinutesBeforeStart"] = rules.reminder_minutes
    return event


def written(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as Graph takes it: times in their zones. The same days are whole in every zone."""
    fields = {name: value for name, value in event.items() if name not in _ZONES.values()}
    for side, name in _ZONES.items():
        at, zone = event[side]["dateTime"], event[name]
        fields[side] = {"dateTime": at if event["isAllDay"] else in_zone(at, zone), "timeZone": zone}
    return fields


def read_back(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What was written as Graph reads it back."""
    event = dict(fields)
    for side, name in _ZONES.items():
        at, zone = fields[side]["dateTime"], fields[side]["timeZone"]
        event |= {side: {"dateTime": at if fields["isAllDay"] else in_utc(at, zone), "timeZone": UTC_NAME}, name: zone}
    return event


def canonical(field: str, value: Any) -> bytes:
    """The form in which what we wrote equals what Graph reads back with times in UTC and bodies as text.

    - Missing, None, "", False, [] and an object with nothing in it are the same: b"".
    - Text: see `texts.canonical`. Exchange ends the lines of a body its own way, and adds one.
    - Times: to the second, in UTC; whole days are the same in every zone.
    - Zones: by the names of Windows; UTC is that of times without one.
    - Categories: in any order.
    """
    if not value:
        return b""
    if field in ("start", "end"):
        return moment(value.get("dateTime") or "").encode()
    if field in _ZONES.values():
        name = windows_name(value)
        return b"" if name == UTC_NAME else name.encode()
    if field == "body":
        return texts.joined([texts.canonical(value.get("content"))])
    if field == "location":
        return texts.joined([texts.canonical(value.get("displayName"))])
    if field == "categories":
        return texts.joined(sorted(map(texts.canonical, value)))
    return texts.joined([texts.canonical(str(value))])


def end_of(fields: Mapping[str, Any]) -> str:
    """When an event that was read back ends: see `windows.moment`."""
    return moment((fields.get("end") or {}).get("dateTime") or "")


def _zones(told: Occurrence) -> tuple[str, str]:
    """The zones in which start and end are written: UTC where one of them cannot be told in its own."""
    start, end = told["zone"], told["end_zone"]
    if len(told["start"]) == DAY or (in_zone(moment(told["start"]), start) and in_zone(moment(told["end"]), end)):
        return start, end
    return UTC_NAME, UTC_NAME


def _body(told: Occurrence) -> Iterator[str]:
    yield from told["text"].split("\n") if told["text"] else ()
    people = ", ".join(told["attendees"])
    lines: Iterable[tuple[str, str]] = (
        (ORGANISER, told["organizer"]),
        (ATTENDEES, people),
        ("Join", told["join"]),
        ("Open", told["link"]),
    )
    separated = not told["text"]
    for label, value in lines:
        if value:
            if not separated:
                yield ""
                separated = True
            yield f"{label}: {value}"
