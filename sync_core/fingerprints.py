"""Fingerprints: what an item's content was when we wrote it, without saying what it was.

``<key id>.<schema>.<tags>``: one keyed 4-byte tag per field, in the order of the fields of its kind, in base64url. A field that
the sync does not own has the neutral tag, zero, and neutral tags at the end are left out. Equal fingerprints mean equal items; a
tag that differs names the field that does, or, neutral in one of the two, a field that is owned by now or no longer. Whoever
reads a fingerprint in a mailbox cannot test guesses against it without the tenant's key.

A last tag says which photo we have given the item (see `photos`). Nothing that is read with the fields tells it: what is found
takes it over from what was written.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any

from sync_core.kinds import CONTACTS, Kind

PHOTO = "photo"

_TAG = 4
_NEUTRAL = bytes(_TAG)
_DOUBT = b"\xff" * _TAG


class Fingerprinter:
    """Makes and compares the fingerprints of one sync, which owns `fields` of items of a `kind`, with the key of its tenant."""

    def __init__(self, key: bytes, key_id: str, fields: Collection[str] = (), kind: Kind = CONTACTS) -> None:
        owned = fields or kind.owned
        self.fields = tuple(name for name in kind.fields if name in owned)
        self._all = kind.fields
        self._canonical = kind.canonical
        self._prefix = f"{key_id}.{kind.schema}."
        self._keyed = []
        for name in self._all[: self._all.index(self.fields[-1]) + 1]:  # pragma: no mutate (what follows has no tag)
            keyed = blake2b(key=key, digest_size=_TAG)
            keyed.update(name.encode() + b"\0")
            self._keyed.append((name, keyed if name in owned else None))
        self._photo = blake2b(PHOTO.encode() + b"\0", key=key, digest_size=_TAG)
        self._blank = [_NEUTRAL if keyed is None else keyed.digest() for _, keyed in self._keyed]

    def of(self, fields: Mapping[str, Any], *, photo: str = "") -> str:
        """The fingerprint of an item's owned fields, whether we are about to write them or have read them back.

        `photo` names the photo it is to have from us, "" for none.
        """
        tags = self._tags_of(fields)
        return self._text([*self._padded(tags), self._photo_tag(photo)] if photo else tags)

    def found(self, fields: Mapping[str, Any], *, written: str | None) -> str:
        """The fingerprint of what was read, the photo taken over from the one that was `written`."""
        before = self._tags(written)
        tags = self._tags_of(fields)
        return self._text(tags if before is None else [*self._padded(tags), before[-1]])

    def has_photo(self, fingerprint: str) -> bool:
        """Whether the item has, or may have, a photo from us."""
        tags = self._tags(fingerprint)
        return tags is not None and tags[-1] != _NEUTRAL

    def doubting_photo(self, fingerprint: str) -> str:
        """The fingerprint of the same item, where it is not known which photo it has from us, if any."""
        tags = self._tags(fingerprint)
        return fingerprint if tags is None else self._text([*tags[:-1], _DOUBT])

    def known(self, fingerprint: str | None) -> bool:
        """Whether this is a fingerprint under our key and schema: only then does it say anything about content."""
        return self._tags(fingerprint) is not None

    def differing(self, one: str, other: str) -> tuple[str, ...] | None:
        """The fields in which two items differ; None when the fingerprints cannot be compared."""
        ours, theirs = self._tags(one), self._tags(other)
        if ours is None or theirs is None:
            return None
        return tuple(name for name, tag, their_tag in self._pairs(ours, theirs) if tag != their_tag)

    def edited(self, written: str | None, found: str) -> tuple[str, ...]:
        """The fields (never the photo) that differ between what was `written` and what was `found`, of those owned both times."""
        before, after = self._tags(written), self._tags(found)
        if before is None or after is None:
            return ()
        pairs = self._pairs(before, after)
        return tuple(name for name, one, two in pairs if one != two and _NEUTRAL not in (one, two) and name != PHOTO)

    def is_blank(self, fingerprint: str, name: str) -> bool:
        """Whether the item is known to have nothing in this field."""
        tags, at = self._tags(fingerprint), self._all.index(name)
        return tags is not None and at < len(self._blank) and tags[at] == self._blank[at]

    def combined(self, fingerprint: str, other: str, names: Collection[str]) -> str:
        """The fingerprint of an item that is like the first, but has the fields `names` from the other. Both must be known.

        The photo counts as a field.
        """
        ours, theirs = self._tags(fingerprint), self._tags(other)
        if ours is None or theirs is None:
            raise ValueError("cannot combine a fingerprint that is not known")
        return self._text([their if name in names else tag for name, tag, their in self._pairs(ours, theirs)])

    def _tags_of(self, fields: Mapping[str, Any]) -> list[bytes]:
        tags = self._blank.copy()
        for place, (name, keyed) in enumerate(self._keyed):
            value = fields.get(name)
            if value and keyed is not None:
                tag = keyed.copy()
                tag.update(self._canonical(name, value))
                tags[place] = tag.digest()
        return tags

    def _photo_tag(self, photo: str) -> bytes:
        tag = self._photo.copy()
        tag.update(photo.encode())
        return tag.digest()

    def _pairs(self, one: list[bytes], other: list[bytes]) -> Iterable[tuple[str, bytes, bytes]]:
        return zip((*self._all, PHOTO), one, other, strict=True)  # pragma: no mutate (`_tags` has one for each)

    def _padded(self, tags: list[bytes]) -> list[bytes]:
        return tags + [_NEUTRAL] * (len(self._all) - len(tags))

    def _text(self, tags: list[bytes]) -> str:
        while tags[-1] == _NEUTRAL:
            tags = tags[:-1]
        return self._prefix + urlsafe_b64encode(b"".join(tags)).rstrip(b"=").decode()

    def _tags(self, fingerprint: str | None) -> list[bytes] | None:
        """The tags of all fields."""
        if not fingerprint or not fingerprint.startswith(self._prefix):
            return None
        text = fingerprint[len(self._prefix) :]
        try:
            tags = urlsafe_b64decode(text + "===")  # it takes as many as there should be
        except (binascii.Error, ValueError):
            return None
        most = (len(self._all) + 1) * _TAG
        if not tags or len(tags) % _TAG or len(tags) > most or len(text) != -(-len(tags) * 4 // 3):
            return None
        tags = tags.ljust(most, b"\0")
        return [tags[at : at + _TAG] for at in range(0, len(tags), _TAG)]
