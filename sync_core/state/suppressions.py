"""Suppressions: people whom no sync may bring into a mailbox any more, by keyed hashes. Not a cache: they survive every purge.

Each change of them raises the tenant's epoch. A snapshot says in which epoch it was made, and who serves mailboxes checks that it
is still that one: what was made before somebody was suppressed is never written after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sync_core.errors import ConflictError
from sync_core.ports import Compare, Insert, Put, Remove, Replace, Tables
from sync_core.state.names import SUPPRESSIONS, TENANTS
from sync_core.state.rows import grouped
from sync_core.suppression import hashed, identifiers

_EPOCH = "epoch"
_TRIES = 16


class Kind(StrEnum):
    """Why somebody is suppressed. Whoever was erased is not even stored again."""

    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"


class Ground(NamedTuple):
    """On account of which request somebody is suppressed."""

    kind: Kind
    request: str


@dataclass(frozen=True, slots=True)
class Suppressions:
    """Who is suppressed, as far as the rows of `epoch` and perhaps newer ones say."""

    epoch: int
    key: bytes
    grounds: Mapping[str, frozenset[Ground]] = field(default_factory=dict)

    def covers(self, key: str, person: Mapping[str, Any]) -> bool:
        """Whether a person of a source is suppressed."""
        return bool(self.grounds) and any(hashed(name, self.key) in self.grounds for name in identifiers(key, person))

    def holds(self, hash_: str) -> bool:
        """Whether this keyed hash is that of somebody who is suppressed."""
        return hash_ in self.grounds

    def holds_erased(self, hash_: str) -> bool:
        """Whether it is that of somebody of whom nothing must be stored."""
        return any(ground.kind is Kind.ERASURE for ground in self.grounds.get(hash_, ()))

    def erased(self, key: str, person: Mapping[str, Any]) -> set[Ground]:
        """On which grounds a person of a source must not even be stored."""
        if not self.grounds:
            return set()
        found = (self.grounds.get(hashed(name, self.key), frozenset()) for name in identifiers(key, person))
        return {ground for grounds in found for ground in grounds if ground.kind is Kind.ERASURE}


async def current_epoch(tables: Tables, tenant: str) -> int:
    """How often the tenant's suppressions have changed."""
    entity = await tables.get(TENANTS, tenant, _EPOCH)
    return 0 if entity is None else int(str(entity.values["Epoch"]))


async def load_suppressions(tables: Tables, key: bytes, tenant: str) -> Suppressions:
    """All of a tenant's suppressions. `key` is the tenant's suppression key."""
    epoch = await current_epoch(tables, tenant)  # first: what comes in between is then newer than it says, never older
    grounds: dict[str, frozenset[Ground]] = {}
    async for entity in tables.query(SUPPRESSIONS, tenant, select=["Kind"]):
        name, _, request = entity.row.partition(":")
        grounds[name] = grounds.get(name, frozenset()) | {Ground(Kind(str(entity.values["Kind"])), request)}
    return Suppressions(epoch, key, grounds)


async def suppress(
    tables: Tables, key: bytes, tenant: str, request: str, found: Iterable[str], *, kind: Kind, now: datetime
) -> int:
    """Suppress whoever has one of these identifiers, on account of a request; returns the new epoch. Repeatable."""
    await add_identifiers(tables, key, tenant, Ground(kind, request), found, now=now)
    return await raise_epoch(tables, tenant)


async def add_identifiers(
    tables: Tables, key: bytes, tenant: str, ground: Ground, found: Iterable[str], *, now: datetime
) -> None:
    """Suppress more identifiers of the same person, without a new epoch."""
    rows = sorted({f"{hashed(identifier, key)}:{ground.request}" for identifier in found})
    for group in grouped(Put(row, {"Kind": str(ground.kind), "Request": ground.request, "At": now}) for row in rows):
        await tables.commit(SUPPRESSIONS, tenant, group)


async def lift(tables: Tables, tenant: str, request: str) -> int:
    """Take back what was suppressed on account of a request; returns how many identifiers that were. Repeatable."""
    rows = tables.query(SUPPRESSIONS, tenant, where=Compare("Request", "eq", request), select=())
    found = [entity.row async for entity in rows]
    for group in grouped(map(Remove, found)):
        await tables.commit(SUPPRESSIONS, tenant, group)
    await raise_epoch(tables, tenant)
    return len(found)


async def raise_epoch(tables: Tables, tenant: str) -> int:
    """Begin a new epoch, and return it: snapshots made before are not served any more."""
    for _ in range(_TRIES):
        entity = await tables.get(TENANTS, tenant, _EPOCH)
        epoch = 1 if entity is None else int(str(entity.values["Epoch"])) + 1
        values = {"Epoch": epoch}
        write = Insert(_EPOCH, values) if entity is None else Replace(_EPOCH, values, entity.etag)
        try:
            await tables.commit(TENANTS, tenant, [write])
        except ConflictError:
            continue
        return epoch
    raise ConflictError("the tenant's epoch keeps changing")
