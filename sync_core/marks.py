"""Our marks: how an item or folder in a mailbox says that it is ours, and whose it is.

A mark is the value of an extended property: ``installation/sync/key+key`` on an item, ``installation/sync/`` on a folder.
Exchange compares such values without regard to case, so a mark is lower-case from the start, and it stays within the 255
characters up to which Exchange searches a string. Every value that does not read as a mark of this installation and sync is
foreign: never touch it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PROPERTY_SET = "{239f523c-eca7-4f72-ab70-120391cb5711}"

KEY_PROPERTY = f"String {_PROPERTY_SET} Name RollcallKey"
FINGERPRINT_PROPERTY = f"String {_PROPERTY_SET} Name RollcallFingerprint"

RELEASED = "released"
"""Written over the mark of an item that is the user's from now on: Graph can change an extended property, not remove it."""

COPIED = "copied"
"""Marks what was copied into a mailbox once and is nobody's replica: no mark that `parse` reads, so a contact like any other."""

LONGEST = 255

LONGEST_KEY = LONGEST - len(f"{36 * 'i'}/{63 * 's'}/")
"""What a mark has room for beside the longest ids of an installation and a sync: three or four object ids."""

_MARK = re.compile(r"([0-9a-z_-]+)/([0-9a-z_-]+)/((?:[a-z]+:[0-9a-z._@-]+(?:\+[a-z]+:[0-9a-z._@-]+)*)?)")


@dataclass(frozen=True, slots=True)
class Mark:
    """Installation, sync and the keys of one item's source objects; a folder's mark has no keys."""

    installation: str
    sync: str
    keys: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The keys as the one name under which snapshot and ledger know the item; "" for a folder."""
        return "+".join(sorted(self.keys))

    @property
    def text(self) -> str:
        """The value of the key property. Raises ValueError when a part would not be read back the same."""
        text = f"{self.installation}/{self.sync}/{self.key}"
        if parse(text) != Mark(self.installation, self.sync, tuple(sorted(self.keys))):
            raise ValueError("a mark takes lower-case ids and at most 255 characters")
        return text


def parse(text: str) -> Mark | None:
    """Read a key property; None when it is no mark of ours in any installation."""
    match = _MARK.fullmatch(text.lower())
    if match is None or len(text) > LONGEST:
        return None
    installation, sync, key = match.groups()
    return Mark(installation, sync, tuple(key.split("+")) if key else ())


def item_mark(installation: str, sync: str, key: str) -> str:
    """The mark of the item `key` ("u:<object id>", several joined by "+"). Raises ValueError for what cannot be a mark."""
    text = f"{installation}/{sync}/{key}"
    # the usual case, told without taking it apart and putting it together
    match = _MARK.fullmatch(text) if key and "+" not in key and len(text) <= LONGEST else None  # pragma: no mutate
    if match is not None and match.groups() == (installation, sync, key):  # pragma: no mutate
        return text
    return Mark(installation, sync, tuple(key.split("+"))).text


def folder_mark(installation: str, sync: str) -> str:
    """The mark of a sync's folder. Raises ValueError for what cannot be a mark."""
    return Mark(installation, sync).text


def copied_mark(key: str) -> str:
    """The mark of a contact that was copied once."""
    return f"{COPIED}:{key}"


def copied_key(text: str | None) -> str | None:
    """The key of a contact that was copied once; None for any other."""
    if not text:
        return None
    kind, _, key = text.partition(":")
    return key if kind == COPIED and key else None


def key_in(text: str | None, installation: str, sync: str) -> str | None:
    """The key of an item of this installation and sync; None when the item is foreign or has no mark."""
    mark = parse(text) if text else None
    if mark is None or (mark.installation, mark.sync) != (installation, sync):
        return None
    return mark.key or None


def installed_by(text: str | None, installation: str) -> str | None:
    """The sync whose mark a folder of this installation carries; None for any other folder."""
    mark = parse(text) if text else None
    return mark.sync if mark is not None and mark.installation == installation and not mark.keys else None


def is_folder_of(text: str | None, installation: str, sync: str) -> bool:
    """Whether a folder carries the mark of this installation and sync."""
    return text is not None and parse(text) == Mark(installation, sync)
