"""Tables and queues in memory: they behave as the cloud's, and can fail at any moment."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.queues import encode
from sync_core.errors import ConflictError, NotFoundError
from sync_core.ports import Clock, Condition, Entity, Insert, Merge, Remove, Replace, Scalar, Write
from sync_core.state.rows import check_condition, check_key, check_writes, matches, plain_values

Hook = Callable[[str, str, str], Awaitable[None]]
"""Called as hook("before" | "after", operation, table or queue); what it raises is what the operation raises."""


async def _pass(_moment: str, _operation: str, _target: str) -> None:
    return None


@dataclass(slots=True)
class _Stored:
    values: dict[str, Scalar]
    etag: str


@dataclass(slots=True)
class _Partition:
    rows: dict[str, _Stored] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def write(self, row: str, stored: _Stored) -> None:
        if row not in self.rows:
            insort(self.order, row)
        self.rows[row] = stored

    def remove(self, row: str) -> None:
        if self.rows.pop(row, None):
            del self.order[bisect_left(self.order, row)]


class MemoryTables:
    """Implements Tables. Operations: get, query and scan (once per page of 1,000 rows read, matching or not), commit."""

    def __init__(self, *, hook: Hook = _pass, page_size: int = 1000) -> None:
        self.hook = hook
        self.transactions: Counter[tuple[str, str]] = Counter()
        self._page_size = page_size
        self._tables: dict[str, dict[str, _Partition]] = {}
        self._versions = itertools.count(1)

    async def get(self, table: str, partition: str, row: str, *, select: Sequence[str] | None = None) -> Entity | None:
        """See Tables."""
        check_key(partition)
        check_key(row)
        await self._before("get", table)
        found = self._tables.get(table, {}).get(partition, _Partition()).rows.get(row)
        entity = Entity(partition, row, _selected(found.values, select), found.etag) if found else None
        await self.hook("after", "get", table)
        return entity

    def query(
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
        check_key(partition)
        if where:
            check_condition(where)
        return self._rows("query", table, partition, start=start, end=end, where=where, select=select)

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
        if where:
            check_condition(where)
        left = limit
        for partition in sorted(self._tables.get(table, {})):
            if partition < partitions_from or (partitions_to and partition >= partitions_to):
                continue
            async for entity in self._rows("scan", table, partition, where=where, select=select):
                yield entity
                if left is not None:
                    left -= 1
                    if left <= 0:
                        return

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        """See Tables."""
        check_writes(partition, writes)
        prepared = [
            (write, {} if isinstance(write, Remove) else plain_values(partition, write.row, write.values)) for write in writes
        ]
        await self._before("commit", table)
        etags = self._write(table, partition, prepared)
        await self.hook("after", "commit", table)
        return etags

    def _write(self, table: str, partition: str, prepared: Sequence[tuple[Write, dict[str, Scalar]]]) -> list[str]:
        partitions = self._tables.setdefault(table, {})
        held = partitions.setdefault(partition, _Partition())
        for write, _ in prepared:
            found = held.rows.get(write.row)
            match write:
                case Insert() if found:
                    raise ConflictError("the row exists")
                case Replace() if found is None or found.etag != write.etag:
                    raise ConflictError("the row has changed")
        etags = []
        for write, values in prepared:
            if isinstance(write, Remove):
                held.remove(write.row)
                etags.append("")
            else:
                etags.append(f'W/"{next(self._versions)}"')
                before = held.rows.get(write.row) if isinstance(write, Merge) else None
                held.write(write.row, _Stored({**before.values, **values} if before else values, etags[-1]))
        if not held.rows:
            del partitions[partition]
        return etags

    async def _rows(
        self,
        operation: str,
        table: str,
        partition: str,
        *,
        start: str = "",
        end: str = "",
        where: Condition | None,
        select: Sequence[str] | None,
    ) -> AsyncIterator[Entity]:
        more = True
        while more:
            await self._before(operation, table)
            held = self._tables.get(table, {}).get(partition, _Partition())
            at = bisect_left(held.order, start)
            rows = held.order[at : at + self._page_size]
            more = at + self._page_size < len(held.order) and not (end and rows[-1] >= end)
            page = [(row, held.rows[row]) for row in rows if not (end and row >= end)]
            found = [
                Entity(partition, row, _selected(stored.values, select), stored.etag)
                for row, stored in page
                if where is None or matches(where, stored.values)
            ]
            await self.hook("after", operation, table)
            for entity in found:
                yield entity
            if more:
                start = rows[-1] + "\0"

    async def _before(self, operation: str, table: str) -> None:
        await self.hook("before", operation, table)
        self.transactions[table, operation] += 1


def _selected(values: Mapping[str, Scalar], select: Sequence[str] | None) -> dict[str, Scalar]:
    if select is None:
        return dict(values)
    return {name: values[name] for name in select if name in values}


class MemoryBlobs:
    """Implements Blobs."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
        """See Blobs."""
        self.files[name] = b"".join([part async for part in content])

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """See Blobs."""
        if name not in self.files:
            raise NotFoundError("there is no such export (any more)")
        content = self.files[name]
        for at in range(0, len(content), 1000):
            yield content[at : at + 1000]

    async def delete(self, prefix: str) -> int:
        """See Blobs."""
        names = [name for name in self.files if name.startswith(prefix)]
        for name in names:
            del self.files[name]
        return len(names)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a worker gets it. `attempt` counts from 1."""

    queue: str
    body: bytes
    attempt: int = 1


class MemoryQueues:
    """Implements Queues. A test drives the workers: `receive` takes a message out, `give_back` returns one that failed."""

    def __init__(self, clock: Clock, *, hook: Hook = _pass) -> None:
        self.hook = hook
        self._clock = clock
        self._numbers = itertools.count()
        self._waiting: list[tuple[datetime, int, Delivery]] = []

    async def send(self, queue: str, message: Mapping[str, str | int], *, delay: float = 0) -> None:
        """See Queues."""
        body = encode(message, delay=delay).encode()
        await self.hook("before", "send", queue)
        self._add(Delivery(queue, body), delay)
        await self.hook("after", "send", queue)

    def receive(self, queue: str | None = None) -> Delivery | None:
        """The message visible for longest, of one queue or of all; None when none is visible now."""
        now = self._clock.now()
        visible = [waiting for waiting in self._waiting if waiting[0] <= now and queue in (None, waiting[2].queue)]
        if not visible:
            return None
        first = min(visible)
        self._waiting.remove(first)
        return first[2]

    def give_back(self, delivery: Delivery, *, delay: float = 0) -> None:
        """Return a message that was not dealt with; it comes again after `delay` seconds."""
        self._add(Delivery(delivery.queue, delivery.body, delivery.attempt + 1), delay)

    def next_at(self) -> datetime | None:
        """When the next message is or becomes visible; None when there is none."""
        return min(self._waiting)[0] if self._waiting else None

    def __len__(self) -> int:
        return len(self._waiting)

    def _add(self, delivery: Delivery, delay: float) -> None:
        self._waiting.append((self._clock.now() + timedelta(seconds=delay), next(self._numbers), delivery))
