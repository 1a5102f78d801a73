"""Tables in which what may name people is encrypted, whoever writes it: the stores above see plain values.

Each value is bound to its tenant, table, row and property: copied elsewhere it does not open, and neither does a plain one that
somebody put in its place.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.ports import (
    AllOf,
    AnyOf,
    Condition,
    Entity,
    Insert,
    Keyring,
    Merge,
    Put,
    Remove,
    Replace,
    Row,
    Scalar,
    Sealer,
    Tables,
    Write,
)
from sync_core.state.names import CHOICES, CHUNKS, RUNS, SYNCS, TENANTS

log = logging.getLogger("rollcall.tables")

SEALED: Mapping[str, frozenset[str]] = {
    TENANTS: frozenset({"Settings"}),
    SYNCS: frozenset({"Definition"}),
    CHOICES: frozenset({"Hidden"}),
    RUNS: frozenset({"Detail"}),
    CHUNKS: frozenset({"Replicas", "Results", "Carried"}),
}
_TEXT, _BYTES = b"s", b"b"


class SealedTables:
    """Implements Tables over those `beneath`. Opening needs the tenant's keys, which stand in rows that are not sealed."""

    def __init__(self, tables: Tables, keyring: Keyring) -> None:
        self.beneath = tables
        self._keyring = keyring

    async def close(self) -> None:
        """Close the connections of the tables beneath."""
        closing = getattr(self.beneath, "close", None)
        if closing is not None:
            await closing()

    async def get(self, table: str, partition: str, row: str, *, select: Sequence[str] | None = None) -> Entity | None:
        """See Tables. Raises LostPagesError when a value cannot be opened."""
        entity = await self.beneath.get(table, partition, row, select=select)
        return None if entity is None else await self._opened(table, entity)

    async def query(
        self,
        table: str,
        partition: str,
        *,
        start: str = "",
        end: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Entity]:
        """See Tables. Raises LostPagesError when a value cannot be opened."""
        _check(table, where)
        async for entity in self.beneath.query(table, partition, start=start, end=end, where=where, select=select):
            yield await self._opened(table, entity)

    async def scan(
        self,
        table: str,
        *,
        partitions_from: str = "",
        partitions_to: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Entity]:
        """See Tables. A row that cannot be opened is left out: one tenant's lost key must not stop the others."""
        _check(table, where)
        rows = self.beneath.scan(
            table, partitions_from=partitions_from, partitions_to=partitions_to, where=where, select=select, limit=limit
        )
        async for entity in rows:
            try:
                opened = await self._opened(table, entity)
            except (LostPagesError, NotFoundError, InputError):
                log.error("a row of table %s of tenant %s cannot be opened", table, _tenant(entity.partition))
                continue
            yield opened

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        """See Tables."""
        names = SEALED.get(table)
        if names is None:
            return await self.beneath.commit(table, partition, writes)
        sealed: list[Write] = []
        for write in writes:
            if isinstance(write, Remove) or names.isdisjoint(write.values):
                sealed.append(write)
            else:
                sealer = (await self._keyring.keys(_tenant(partition))).sealer
                sealed.append(_sealed(sealer, table, partition, write, names))
        return await self.beneath.commit(table, partition, sealed)

    async def _opened(self, table: str, entity: Entity) -> Entity:
        names = SEALED.get(table, frozenset()) & entity.values.keys()
        if not names:
            return entity
        sealer = (await self._keyring.keys(_tenant(entity.partition))).sealer
        opened = {name: _open(sealer, place(table, entity.partition, entity.row, name), entity.values[name]) for name in names}
        return replace(entity, values={**entity.values, **opened})


def place(table: str, partition: str, row: str, name: str) -> str:
    """What a sealed value is bound to."""
    return f"{table}|{partition}|{row}|{name}"


def _sealed(sealer: Sealer, table: str, partition: str, write: Insert | Put | Merge | Replace, names: frozenset[str]) -> Write:
    values: Row = {
        name: _seal(sealer, place(table, partition, write.row, name), value) if name in names and value is not None else value
        for name, value in write.values.items()
    }
    return replace(write, values=values)


def _seal(sealer: Sealer, where: str, value: Scalar) -> bytes:
    if isinstance(value, str):
        return sealer.seal(_TEXT + value.encode(), place=where)
    if isinstance(value, bytes):
        return sealer.seal(_BYTES + value, place=where)
    raise TypeError(f"only texts and bytes are sealed, not {type(value).__name__}")


def _open(sealer: Sealer, where: str, value: Scalar) -> Scalar:
    if not isinstance(value, bytes):
        raise LostPagesError("a value that must be sealed is not")
    plain = sealer.open(value, place=where)
    return plain[1:].decode() if plain[:1] == _TEXT else plain[1:]


def _check(table: str, condition: Condition | None) -> None:
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.conditions:
            _check(table, part)
    elif condition is not None and condition.name in SEALED.get(table, ()):
        raise ValueError(f"{condition.name} is sealed: nothing can be found by it")


def _tenant(partition: str) -> str:
    return partition.partition(":")[0]
