"""What an entry of the audit trail consists of, and how it is chained: nothing here reads or writes rows.

Each entry's hash covers the hash of the one before it, and salted commitments to its actor and its details instead of these
themselves: both are sealed, and an actor can be shredded without breaking the chain. A tag under the tenant's audit key makes
each hash one that only this app can have written.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_bytes
from typing import Any

import orjson

from gdpr.encryption import TenantSealer
from sync_core.engine.context import Context
from sync_core.errors import LostPagesError
from sync_core.ports import Entity, Row, Sealer
from sync_core.state.names import AUDIT

HEAD, ANCHOR, WITNESS = "head", "anchor", "audit-head"
FIRST_ROW, END_OF_ROWS = "e:", "e;"
TENANT_ERASED = "tenant.erased"
"""The action of the receipt after which nothing sealed before can be read."""

CHAINED = ("Sequence", "At", "Action", "ActorCommitment", "DetailsCommitment", "Previous")
"""What of an entry its hash covers, in this order."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: a "user" or "app" by object id and home tenant, an "operator" of the service, or the "system" itself."""

    kind: str
    id: str = ""
    home: str = ""


SYSTEM = Actor("system")


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain."""

    sequence: int
    hash: str


ORIGIN = Link(0, "0" * 64)
"""Where every chain begins."""


def row_of(sequence: int) -> str:
    """The row key of an entry."""
    return f"{FIRST_ROW}{sequence:012d}"


def sealed_place(tenant: str, row: str, name: str) -> str:
    """What a sealed part of an entry is bound to."""
    return f"{AUDIT}|{tenant}|{row}|{name}"


def hash_of(values: Row) -> str:
    """The hash that an entry with these values must have: SHA-256 of the chained values as a JSON array, times as ISO 8601."""
    chained = [values.get(name) for name in CHAINED]
    plain = [value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value for value in chained]
    return hashlib.sha256(orjson.dumps(plain)).hexdigest()


def salted(content: Mapping[str, object]) -> bytes:
    """A part of an entry as it is sealed: nobody can guess it from its commitment once the salt is gone."""
    return _packed(b64encode(token_bytes(16)).decode(), content)


def commitment(part: bytes) -> str:
    """What the chain holds of a salted part: the SHA-256 of {"content", "salt"} as compact JSON with sorted keys."""
    return hashlib.sha256(part).hexdigest()


def commitment_to(part: Mapping[str, Any]) -> str:
    """The commitment to an opened part."""
    return commitment(_packed(part["salt"], part["content"]))


def opened(sealers: Sequence[Sealer], entity: Entity, name: str) -> dict[str, Any] | None:
    """A sealed part as {"salt": ..., "content": ...}; None when it was shredded or cannot be opened any more."""
    sealed = entity.values.get(name)
    if not isinstance(sealed, bytes):
        return None
    for sealer in sealers:
        try:
            part: dict[str, Any] = orjson.loads(sealer.open(sealed, place=sealed_place(entity.partition, entity.row, name)))
        except LostPagesError:
            continue
        return part
    return None


async def sealers_of(context: Context, tenant: str) -> tuple[Sealer, Sealer]:
    """What opens the parts of entries: the tenant's data key, and for what outlives it a key made of the trail's own."""
    lasting = lasting_sealer(tenant, await context.keyring.audit_key(tenant))
    return (await context.keyring.keys(tenant)).sealer, lasting


def lasting_sealer(tenant: str, audit_key: bytes) -> Sealer:
    """Seals what can be read as long as the trail."""
    return TenantSealer(tenant, hmac.new(audit_key, b"receipts", hashlib.sha256).digest())


def tag_of(audit_key: bytes, text: str) -> str:
    """What only who has the key can make of a text."""
    return hmac.new(audit_key, text.encode(), hashlib.sha256).hexdigest()[:32]


def actor_tag(audit_key: bytes, actor: Actor) -> str:
    """By this an actor's entries are found."""
    return tag_of(audit_key, f"actor|{actor.kind}|{actor.home}|{actor.id}")


def named(link: Link, audit_key: bytes) -> dict[str, Any]:
    """The values of a row that names a place in the chain."""
    return {"Sequence": link.sequence, "Hash": link.hash, "Tag": _place_tag(link, audit_key)}


def is_genuine(place: Entity, audit_key: bytes) -> bool:
    """Whether a row that names a place in the chain was written by who has the key."""
    return hmac.compare_digest(str(place.values.get("Tag")), _place_tag(link_of(place), audit_key))


def link_of(entity: Entity) -> Link:
    """The place that an entry has, or that a row names."""
    return Link(int(str(entity.values["Sequence"])), str(entity.values["Hash"]))


def time_of(entity: Entity) -> datetime:
    """When an entry was written."""
    at = entity.values["At"]
    assert isinstance(at, datetime)
    return at


def _place_tag(link: Link, audit_key: bytes) -> str:
    return tag_of(audit_key, f"place|{link.sequence}|{link.hash}")


def _packed(salt: str, content: Mapping[str, object]) -> bytes:
    return orjson.dumps({"content": content, "salt": salt}, option=orjson.OPT_SORT_KEYS)
