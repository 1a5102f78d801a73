"""Tables whose writes stay in memory: what reads and keeps can be tried without keeping anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from sync_core.errors import ConflictError
from sync_core.ports import Condition, Entity, Insert, Merge, Remove, Replace, Tables, Write
from sync_core.state.rows import check_writes, matches, plain_values

Place = tuple[str, str]  # partition and row: the order of a table


class Scratch(Tables):
    """Other tables with what was written here laid over them. Nothing ever reaches those."""

    def __init__(self, below: Tables) -> None:
        self._below = below
        self._written: dict[str, dict[Place, Entity | None]] = {}
        self._versions = 0

    async def get(self, table: str, partition: str, row: str, *, select: Sequence[str] | None = None) -> Entity | None:
        """See Tables."""
        written = self._written.get(table, {})
        if (partition, row) in written:
            entity = written[partition, row]
            return None if entity is None else _selected(entity, select)
        return await self._below.get(table, partition, row, select=select)

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
        """See Tables."""
        written = {
            place: entity
            for place, entity in self._written.get(table, {}).items()
            if place[0] == partition and place[1] >= start and (not end or place[1] < end)
        }
        below = self._below.query(table, partition, start=start, end=end, where=where, select=select)
        async for entity in _laid_over(below, written, where, select):
            yield entity

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
        """See Tables."""
        written = {
            place: entity
            for place, entity in self._written.get(table, {}).items()
            if place[0] >= partitions_from and (not partitions_to or place[0] < partitions_to)
        }
        below = self._below.scan(table, partitions_from=partitions_from, partitions_to=partitions_to, where=where, select=select)
        left = limit
        async for entity in _laid_over(below, written, where, select):
            if left is not None and left <= 0:
                return
            yield entity
            left = left - 1 if left is not None else None

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        """See Tables."""
        check_writes(partition, writes)
        entities: list[Entity | None] = []
        for write in writes:
            found = await self.get(table, partition, write.row) if isinstance(write, Insert | Merge | Replace) else None
            if isinstance(write, Insert) and found is not None:
                raise ConflictError("the row exists")
            if isinstance(write, Replace) and (found is None or found.etag != write.etag):
                raise ConflictError("the row has changed")
            entities.append(self._entity(partition, write, found))
        written = self._written.setdefault(table, {})
        for write, entity in zip(writes, entities, strict=True):
            written[partition, write.row] = entity
        return [entity.etag if entity is not None else "" for entity in entities]

    def _entity(self, partition: str, write: Write, found: Entity | None) -> Entity | None:
        if isinstance(write, Remove):
            return None
        self._versions += 1
        values = plain_values(partition, write.row, write.values)
        if isinstance(write, Merge) and found is not None:
            values = {**found.values, **values}
        return Entity(partition, write.row, values, f"scratch {self._versions}")


async def _laid_over(
    below: AsyncIterator[Entity], written: Mapping[Place, Entity | None], where: Condition | None, select: Sequence[str] | None
) -> AsyncIterator[Entity]:
    """Both in order; where both have a row, the written one counts."""
    ours = [
        (place, entity)
        for place, entity in sorted(written.items(), key=lambda entry: entry[0], reverse=True)
        if entity is not None and (where is None or matches(where, entity.values))
    ]
    async for entity in below:
        place = (entity.partition, entity.row)
        while ours and ours[-1][0] < place:
            yield _selected(ours.pop()[1], select)
        if place not in written:
            yield entity
    while ours:
        yield _selected(ours.pop()[1], select)


def _selected(entity: Entity, select: Sequence[str] | None) -> Entity:
    if select is None:
        return entity
    return replace(entity, values={name: entity.values[name] for name in select if name in entity.values})
