"""Photos: when to look at a person's again, and what to do about that of a contact. Pure.

Graph's delta queries say nothing of users' photos, and a contact's photo can be written but not deleted. So all hangs on two
names: that of the photo a person has (a keyed digest of its content: the same image uploaded again stays the same photo), and
that of the photo which a contact has from us, a tag in the contact's fingerprint. A photo that a user gave a contact is never
read; it stays until the person's own photo changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from zlib import crc32

import orjson
from msgspec import Struct
from msgspec.structs import replace

from sync_core import fingerprints
from sync_core.encoding import kept
from sync_core.fingerprints import Fingerprinter
from sync_core.marks import FINGERPRINT_PROPERTY
from sync_core.model import Held, Item, Operation, PhotoAt, Portrait, Update

LOOK_EVERY = timedelta(days=7)
"""How old what we know of a person's photo may grow: each night, a seventh of the people are looked at."""

REFUSED = "!"
"""Stands for the version of a photo that Microsoft does not show us, although it shows others."""

PHOTO = "photo"
"""Under this name a source stores what it knows of a person's photo, among the person's attributes."""

_USER = "u:"
_LOOKED_TODAY = timedelta(hours=18)
_WANTED_NOTED_EVERY = timedelta(days=6)
_WANTED_FOR = timedelta(days=14)
_READ_AGAIN_FROM_DAY = 45
_READ_AGAIN_SPREAD_DAYS = 11
_FORGET_AFTER = timedelta(days=57)

_MARKS = "singleValueExtendedProperties"

CARRIED = (
    *("assistantName", "birthday", "businessAddress", "businessHomePage", "businessPhones", "categories", "children"),
    *("companyName", "department", "displayName", "emailAddresses", "generation", "givenName", "homeAddress", "homePhones"),
    *("imAddresses", "initials", "jobTitle", "manager", "middleName", "mobilePhone", "nickName", "officeLocation"),
    *("otherAddress", "personalNotes", "profession", "spouseName", "surname", "title", "yomiCompanyName", "yomiGivenName"),
    "yomiSurname",
)
"""All that can be written of a contact, but the name it is filed under, which Exchange makes from the others.

https://learn.microsoft.com/graph/api/resources/contact
"""


class Known(Struct, frozen=True, gc=False):
    """What is known of one person's photo.

    `version` is Microsoft's name for the upload, "" where there is no photo. `name` is ours for its content, "" also for one that
    is no readable image. `looked_at` is when the version was last asked for, `read_at` when the content was read, `wanted_at`
    when a sync last said that it wants it, give or take some days. `seen` is as the Portrait had it then.
    """

    version: str
    name: str
    looked_at: datetime
    read_at: datetime
    wanted_at: datetime
    seen: str = ""

    @property
    def unreadable(self) -> bool:
        """Whether there is a photo of which nothing can be made."""
        return bool(self.version) and not self.name

    @property
    def photo(self) -> str | None:
        """The photo's name, "" for none; None when it is not known what a contact should have."""
        return None if self.unreadable else self.name


def is_due(known: Known, portrait: Portrait, now: datetime) -> bool:
    """Whether to ask for the version again: of a contact that has changed, and of a user on one day of the week."""
    age = now - known.looked_at
    if known.version == REFUSED:
        return age >= _LOOKED_TODAY
    if portrait.seen:
        return known.seen != portrait.seen
    return age >= LOOK_EVERY or (age >= _LOOKED_TODAY and (now.toordinal() + _spread(portrait.key)) % LOOK_EVERY.days == 0)


def is_old(known: Known, key: str, now: datetime) -> bool:
    """Whether the content must be read anew, changed or not: nothing read from Microsoft is kept for sixty days.

    Contacts are not gone through every night, but every week at least: theirs is read a week earlier.
    """
    days = _READ_AGAIN_FROM_DAY + _spread(key) % _READ_AGAIN_SPREAD_DAYS
    return now - known.read_at >= timedelta(days=days) - (timedelta() if key.startswith(_USER) else LOOK_EVERY)


def is_expired(known: Known, now: datetime) -> bool:
    """Whether it must be forgotten although nobody has read it anew."""
    return now - known.read_at >= _FORGET_AFTER


def is_unwanted(known: Known, now: datetime) -> bool:
    """Whether no sync wants it any more."""
    return now - known.wanted_at >= _WANTED_FOR


def still_wanted(known: Known, now: datetime) -> Known:
    """The same, known to be wanted now. It is as it was if that was noted not long ago: a page need not be written for it."""
    return known if now - known.wanted_at < _WANTED_NOTED_EVERY else replace(known, wanted_at=now)


def user_portrait(key: str) -> Portrait | None:
    """That of a directory user, by key; None for anything else."""
    return Portrait(key, PhotoAt(key.removeprefix(_USER))) if key.startswith(_USER) else None


def photo_name(content: bytes, key: bytes) -> str:
    """Names a content. Keyed: a bare hash would tell those who have the picture whose it is."""
    return blake2b(content, key=key, digest_size=8).hexdigest()


def in_size(name: str, side: int) -> str:
    """Names the photo of this size that is made of a content."""
    return f"{name}-{side}"


def photo_of(portraits: Sequence[Portrait], known: Mapping[str, str | None], source: str) -> tuple[str, str | None]:
    """Where a person's photo is kept, and its name: that of the first source that has one, "" for none.

    None while it is not `known` by the portraits' keys. Photos of Microsoft's are kept under the id `source`.
    """
    unusable = False  # pragma: no mutate (None is as false)
    for portrait in portraits:
        if portrait.key not in known:
            return "", None
        name = known[portrait.key]
        if name:
            return f"{portrait.source or source}/{portrait.key}:{name}", name
        unusable = unusable or name is None
    return "", None if unusable else ""


def steps(
    operations: Sequence[Operation],
    wanted: Mapping[str, Item],
    held: Mapping[str, Held],
    fingerprinter: Fingerprinter,
) -> tuple[list[Operation], dict[str, Item]]:
    """A plan in which no photo is lost sight of, and the items as they are then written where they differ from `wanted`.

    Where it is not known what photo a contact should have, because the sync leaves photos alone or one could not be read, the
    contact's mark goes on telling the one it has.
    """
    result: list[Operation] = []
    changed: dict[str, Item] = {}
    for operation in operations:
        if not isinstance(operation, Update) or wanted[operation.key].photo is not None:
            result.append(operation)
            continue
        entry = held[operation.was or operation.key]
        if not fingerprinter.has_photo(entry.fingerprint):
            result.append(operation)
            continue
        item = _keeping(wanted[operation.key], entry.fingerprint, fingerprinter)
        changed[item.key] = item
        if entry.fingerprint != item.fingerprint or entry.kept or operation.was:
            result.append(replace(operation, body=item.body))
    return result, changed


def is_owed(item: Item | None, before: str, fingerprinter: Fingerprinter) -> bool:
    """Whether the contact, which had the fingerprint `before`, has to be given the item's photo once the rest is written."""
    if item is None or not item.photo:
        return False
    differing = fingerprinter.differing(before, item.fingerprint)
    return differing is None or fingerprints.PHOTO in differing


def is_to_go(item: Item | None, before: str, fingerprinter: Fingerprinter) -> bool:
    """Whether the contact, which has the fingerprint `before`, has a photo from us and should have none: it is made anew."""
    return item is not None and item.photo == "" and fingerprinter.has_photo(before)


def proven(found: Mapping[str, Held], known: Mapping[str, Held], fingerprinter: Fingerprinter) -> dict[str, Held]:
    """What a mailbox holds in which work broke off.

    A mark tells of a photo before the contact has it: only what the ledger says as well is sure.
    """
    result = dict(found)
    for key, entry in found.items():
        if not fingerprinter.has_photo(entry.fingerprint):
            continue
        before = known.get(key)
        if before is not None and before.item_id == entry.item_id:
            differing = fingerprinter.differing(before.fingerprint, entry.fingerprint)
            if differing is not None and fingerprints.PHOTO not in differing:
                continue
        result[key] = Held(entry.item_id, fingerprinter.doubting_photo(entry.fingerprint), entry.kept)
    return result


def remade(before: Mapping[str, Any], update: Mapping[str, Any]) -> bytes:
    """The body of a contact that takes the place of one: what that one had, the user's own included, and what the update says."""
    return kept({**{name: value for name, value in before.items() if value}, **update})


def _spread(key: str) -> int:
    """A number that spreads people over days."""
    return crc32(key.removeprefix(_USER).encode())


def _keeping(item: Item, there: str, fingerprinter: Fingerprinter) -> Item:
    """The item with the photo in its mark that the contact has."""
    fingerprint = fingerprinter.combined(item.fingerprint, there, (fingerprints.PHOTO,))
    body = orjson.loads(item.body)
    for entry in body[_MARKS]:
        if entry["id"] == FINGERPRINT_PROPERTY:
            entry["value"] = fingerprint
    return replace(item, fingerprint=fingerprint, body=kept(body))
