"""From an occurrence of a calendar to the event that phones show.

Every occurrence becomes a single event without attendees, so that Exchange mails nothing. Times are written in UTC, which has no
hour twice; whole days in the zone they were made in, as a day is one only there. https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sync_core import marks, texts
from sync_core.encoding import kept
from sync_core.model import Item
from sync_core.windows import DAY, moment

if TYPE_CHECKING:
    from sync_core.event_rules import EventRules
    from sync_core.fingerprints import Fingerprinter
    from sync_core.occurrences import Occurrence

OWNED_FIELDS: tuple[str, ...] = (
    *("subject", "body", "start", "end", "isAllDay", "location", "showAs", "categories", "sensitivity", "isReminderOn"),
)
"""What a sync owns that asks for no reminders."""

FIELDS: tuple[str, ...] = (*OWNED_FIELDS, "reminderMinutesBeforeStart")
"""What a sync can own."""

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
    return Item(key, fingerprint, kept(event | _NEVER))


def event_of(told: Occurrence, rules: EventRules, *, prefix: str | None, category: str | None) -> dict[str, Any]:
    """The owned fields of an event, each present, as Graph takes them."""
    subject = f"{prefix} {told['subject']}" if prefix else told["subject"]
    event: dict[str, Any] = {
        "subject": texts.line(subject) or "",
        "body": {"contentType": "text", "content": "\r\n".join(_body(told))},
        "start": _time(told["start"], told["zone"]),
        "end": _time(told["end"], told["zone"]),
        "isAllDay": len(told["start"]) == DAY,
        "location": {"displayName": told["location"]},
        "showAs": told["showAs"] if told["showAs"] in _SHOWN else "busy",
        "categories": sorted({*told["categories"], *([category] if category else ())}),
        "sensitivity": told["sensitivity"],
        "isReminderOn": rules.reminder_minutes is not None,
    }
    if rules.reminder_minutes is not None:
        event["reminderMinutesBeforeStart"] = rules.reminder_minutes
    return event


def canonical(field: str, value: Any) -> bytes:
    """The form in which what we wrote equals what Graph reads back with times in UTC and bodies as text.

    - Missing, None, "", False, [] and an object with nothing in it are the same: b"".
    - Text: see `texts.canonical`. Exchange ends the lines of a body its own way, and adds one.
    - Times: to the second, without zone. We write and ask for UTC; whole days are the same in every zone.
    - Categories: in any order.
    """
    if not value:
        return b""
    if field in ("start", "end"):
        return moment(value.get("dateTime") or "").encode()
    if field == "body":
        return texts.joined([texts.canonical(value.get("content"))])
    if field == "location":
        return texts.joined([texts.canonical(value.get("displayName"))])
    if field == "categories":
        return texts.joined(sorted(map(texts.canonical, value)))
    return texts.joined([texts.canonical(str(value))])


def end_of(fields: Mapping[str, Any]) -> str:
    """When an event that was written or read back ends: see `windows.moment`."""
    return moment((fields.get("end") or {}).get("dateTime") or "")


def _time(text: str, zone: str) -> dict[str, str]:
    return {"dateTime": moment(text), "timeZone": zone}


def _body(told: Occurrence) -> Iterator[str]:
    yield from told["text"].split("\n") if told["text"] else ()
    people = ", ".join(told["attendees"])
    lines: Iterable[tuple[str, str]] = (
        ("Organiser", told["organizer"]),
        ("Attendees", people),
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
