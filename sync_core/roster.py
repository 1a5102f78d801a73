"""What is remembered of everybody whom a sync's sources tell of: enough to see, when few have changed, whom to look at again."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One object of a source.

    `digest` names all that is told of it but for its photo, `address` the address that it is known by ("" for none), `flags` are
    what the rules of the sync say to its attributes, and `photo` is what is told of its photo.
    """

    key: str
    digest: str
    address: str
    flags: int
    photo: str = ""


class Made(Struct, frozen=True, array_like=True, gc=False):
    """One person, merged.

    `made_of` names the objects and what they told, `fits` says whether the sync's selection lets in who is like that, `listed`
    whether the person is in the snapshot, and `photo` where the photo is kept that it has there, and which it is.
    """

    made_of: str
    fits: bool
    listed: bool
    photo: tuple[str, str | None] = ("", None)


Pages = dict[str, dict[str, list[Entry]]]
"""Per source and digest of one of its pages: the objects on that."""


class Roster(Struct, frozen=True, array_like=True, gc=False):
    """Everybody, as they were when a snapshot was made. It is of no use under another `recipe`."""

    recipe: str
    pages: Pages
    people: dict[str, Made]


def encoded(roster: Roster) -> bytes:
    """For keeping."""
    return msgspec.msgpack.encode(roster)


def decoded(kept: bytes) -> Roster | None:
    """What was kept; None for what another version of the app has left."""
    try:
        return msgspec.msgpack.decode(kept, type=Roster)
    except msgspec.DecodeError:
        return None


def digest(content: bytes) -> str:
    """Names a content among those of one tenant."""
    return blake2b(content, digest_size=9).hexdigest()
