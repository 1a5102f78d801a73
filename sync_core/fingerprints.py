"""Fingerprints: what an item's content was when we wrote it, without saying what it was.

``<key id>.<schema>.<tags>``: one keyed 4-byte tag per owned field, in the order of `contacts.OWNED_FIELDS`, in base64url. Equal
fingerprints mean equal items; a tag that differs names the field that does. Whoever reads a fingerprint in a mailbox cannot test
guesses against it without the tenant's key.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from sync_core.contacts import OWNED_FIELDS, canonical

SCHEMA = "a"
"""Names the owned fields and their canonical form. Whoever changes either takes the next letter: all is then rewritten once."""

_TAG = 4
_PADDING = "=" * (-len(OWNED_FIELDS) * _TAG % 3)
_LENGTH = -(-len(OWNED_FIELDS) * _TAG * 4 // 3)


class Fingerprinter:
    """Makes and compares the fingerprints of one tenant."""

    def __init__(self, key: bytes, key_id: str) -> None:
        self._prefix = f"{key_id}.{SCHEMA}."
        self._fields = []
        for name in OWNED_FIELDS:
            keyed = blake2b(key=key, digest_size=_TAG)
            keyed.update(name.encode() + b"\0")
            self._fields.append((name, keyed))

    def of(self, fields: Mapping[str, Any]) -> str:
        """The fingerprint of an item's owned fields, whether we are about to write them or have read them back."""
        tags = []
        for name, keyed in self._fields:
            tag = keyed.copy()
            tag.update(canonical(name, fields.get(name)))
            tags.append(tag.digest())
        return self._prefix + urlsafe_b64encode(b"".join(tags))[:_LENGTH].decode()

    def known(self, fingerprint: str | None) -> bool:
        """Whether this is a fingerprint under our key and schema: only then does it say anything about content."""
        return self._tags(fingerprint) is not None

    def differing(self, one: str, other: str) -> tuple[str, ...] | None:
        """The fields in which two items differ; None when the fingerprints cannot be compared."""
        ours, theirs = self._tags(one), self._tags(other)
        if ours is None or theirs is None:
            return None
        return tuple(
            name
            for at, name in enumerate(OWNED_FIELDS)
            if ours[at * _TAG : (at + 1) * _TAG] != theirs[at * _TAG : (at + 1) * _TAG]
        )

    def _tags(self, fingerprint: str | None) -> bytes | None:
        if not fingerprint or not fingerprint.startswith(self._prefix):
            return None
        text = fingerprint[len(self._prefix) :]
        try:
            tags = urlsafe_b64decode(text + _PADDING)
        except (binascii.Error, ValueError):
            return None
        return tags if len(text) == _LENGTH and len(tags) == len(OWNED_FIELDS) * _TAG else None
