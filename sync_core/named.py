"""Who is named in an event, so that a name can be found and taken out again.

Of the people in an event only their names are kept. Beside each name stands what a suppression knows an address by: a keyed
hash. So whoever is suppressed can be left out, and nobody's address is stored for it. Names that stand in subjects and texts,
which people write as they like, are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from msgspec.structs import replace

from sync_core import marks, texts
from sync_core.encoding import kept
from sync_core.events import ATTENDEES, ORGANISER
from sync_core.model import Item, Named
from sync_core.suppression import by_key, by_mail, hashed

if TYPE_CHECKING:
    from sync_core.fingerprints import Fingerprinter
    from sync_core.occurrences import Occurrence

NAMED = "named"
"""The property of an occurrence that holds these."""

_ORGANIZER, _ATTENDEE, _OWNER = "organizer", "attendee", "owner"

IsGone = Callable[[str], bool]
"""Whether the person with this keyed hash is to be left out."""


def named_in(raw: Mapping[str, Any], occurrence: Occurrence, key: bytes) -> list[Named]:
    """Everybody whom an event of a view names, as `occurrence` tells of it. `key` is the tenant's suppression key."""
    people = [(_ORGANIZER, raw.get("organizer")), *((_ATTENDEE, one) for one in raw.get("attendees") or ())]
    told = {occurrence["organizer"], *occurrence["attendees"]} - {""}
    found = {(role, _mark((person or {}).get("emailAddress") or {}, key), _name(person)) for role, person in people}
    return sorted(one for one in found if one[2] in told)


def owned_by(mailbox: str, key: bytes) -> Named:
    """Whose calendar an event is from."""
    return _OWNER, hashed(by_key(f"u:{mailbox}"), key), ""


def told_of(told: Occurrence, owner: Named | None) -> tuple[Named, ...]:
    """Whom an item names that tells so much of an occurrence, and whose it is."""
    roles = {_ORGANIZER: told["organizer"], _ATTENDEE: told["attendees"]}
    people = ((role, mark, name) for role, mark, name in told.get(NAMED, ()) if roles[role])
    return (*people, owner) if owner is not None else tuple(people)


def without(occurrence: Occurrence, is_gone: IsGone) -> Occurrence:
    """The occurrence without the names of those who are to be left out."""
    named = occurrence.get(NAMED, ())
    left = [one for one in named if not is_gone(one[1])]
    if len(left) == len(named):
        return occurrence
    organizer = next((name for role, _, name in left if role == _ORGANIZER), "")
    return {**occurrence, NAMED: left, "organizer": organizer, "attendees": _attendees(left)}


def item_without(item: Item, is_gone: IsGone, fingerprinter: Fingerprinter) -> Item | None:
    """The item without these names, and with the fingerprint of what is left; None where the calendar is one of theirs."""
    left = tuple(one for one in item.named if not is_gone(one[1]))
    if len(left) == len(item.named):
        return item
    if any(role == _OWNER and is_gone(mark) for role, mark, _ in item.named):
        return None
    event = orjson.loads(item.body)
    event["body"]["content"] = _rewritten(event["body"]["content"], item.named, left)
    fingerprint = fingerprinter.combined(item.fingerprint, fingerprinter.of({"body": event["body"]}), ("body",))
    for entry in event["singleValueExtendedProperties"]:
        if entry["id"] == marks.FINGERPRINT_PROPERTY:
            entry["value"] = fingerprint
    return replace(item, fingerprint=fingerprint, body=kept(event), named=left)


def _rewritten(content: str, before: Sequence[Named], after: Sequence[Named]) -> str:
    lines = content.split("\r\n")
    for old, new in zip(_lines(before), _lines(after), strict=True):
        if old in lines:
            at = len(lines) - 1 - lines[::-1].index(old)  # ours stand below what the event says itself
            lines[at : at + 1] = [new] if new else []
    return "\r\n".join(lines).rstrip("\r\n")


def _lines(named: Sequence[Named]) -> tuple[str, str]:
    organizer = next((name for role, _, name in named if role == _ORGANIZER), "")
    attendees = ", ".join(_attendees(named))
    return (f"{ORGANISER}: {organizer}" if organizer else "", f"{ATTENDEES}: {attendees}" if attendees else "")


def _attendees(named: Sequence[Named]) -> list[str]:
    return sorted({name for role, _, name in named if role == _ATTENDEE})


def _mark(address: Mapping[str, Any], key: bytes) -> str:
    return hashed(by_mail(address["address"]), key) if address.get("address") else ""


def _name(person: Mapping[str, Any] | None) -> str:
    return texts.line(((person or {}).get("emailAddress") or {}).get("name")) or ""
