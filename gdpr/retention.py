"""What outlives its purpose is deleted: caches by the age of their content, runs and chunks by their own.

Everything here may stop half-way and be run again. Losing part of a cache means losing it: a head without its pages is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from sync_core.ports import Compare, Condition, Entity, Remove, Tables
from sync_core.state.names import (
    ANSWERS,
    AUDIT,
    CACHES,
    CHOICES,
    CHUNKS,
    ENDED_AT,
    LEDGERS,
    NOTICES,
    POISON,
    READ_AT,
    REFUSALS,
    REPLICAS,
    REQUESTS,
    RUNS,
    SNAPSHOTS,
    SOURCES,
    SYNCS,
    TENANTS,
    partition,
    partitions_of,
)
from sync_core.state.rows import MOST_WRITES
from sync_core.state.runs import new_run_id
from sync_core.state.sources import FILE, PUSH

CACHE_LIMIT = timedelta(days=60)
"""Nothing read from Microsoft is held longer."""

_MARGIN = timedelta(days=2)  # the daily purge may be a whole day late and still keep the limit
KEEP_CACHE = CACHE_LIMIT - _MARGIN
KEEP_CHUNKS = CACHE_LIMIT - _MARGIN
KEEP_RUNS = timedelta(days=365)
KEEP_ANSWERS = timedelta(days=1)

Deleted = Counter[str]
"""Rows deleted, by table."""


async def purge_caches(tables: Tables, tenant: str, sync: str | None = None) -> Deleted:
    """Empty a tenant's caches, or what one sync needs of them: its snapshots and ledgers, and the sources, which syncs share.

    Only the tenant's whole takes uploads and pushed items along: no sync could read those again.
    """
    start, end = partitions_of(tenant)
    deleted = Deleted()
    for table in CACHES:
        if sync is None or table == SOURCES:
            rows = tables.scan(table, partitions_from=start, partitions_to=end, select=())
            rows = rows if sync is None else _readable_again(rows)
        else:
            rows = tables.query(table, partition(tenant, sync), select=())
        deleted[table] += await delete_rows(tables, table, rows)
    return deleted


async def purge_expired(tables: Tables, tenant: str, now: datetime, *, keep_runs: timedelta = KEEP_RUNS) -> Deleted:
    """Delete what of a tenant's would outlive its retention before this has run twice more. Meant to run daily."""
    start, end = partitions_of(tenant)
    deleted = Deleted()
    expired: Condition = Compare(READ_AT, "le", now - KEEP_CACHE)
    for table in CACHES:
        rows = tables.scan(table, partitions_from=start, partitions_to=end, where=expired, select=())
        deleted[table] += await delete_rows(tables, table, rows)
    # Run ids sort the newest first and begin with the time, so what is too old is one range.
    oldest = partition(tenant, new_run_id(now - KEEP_CHUNKS).partition("-")[0])
    deleted[CHUNKS] += await delete_rows(
        tables, CHUNKS, tables.scan(CHUNKS, partitions_from=oldest, partitions_to=end, select=())
    )
    ended: Condition = Compare(ENDED_AT, "le", now - keep_runs)
    deleted[RUNS] += await delete_rows(tables, RUNS, tables.query(RUNS, tenant, where=ended, select=()))
    given_up = tables.query(POISON, tenant, start=new_run_id(now - KEEP_CHUNKS).partition("-")[0], select=())
    deleted[POISON] += await delete_rows(tables, POISON, given_up)
    told: Condition = Compare("At", "le", now - KEEP_CHUNKS)
    deleted[NOTICES] += await delete_rows(tables, NOTICES, tables.query(NOTICES, tenant, where=told, select=()))
    unused = tables.query(TENANTS, tenant, start="consent:", end="consent;", where=Compare("Until", "le", now), select=())
    deleted[TENANTS] += await delete_rows(tables, TENANTS, unused)
    answered: Condition = Compare("At", "le", now - KEEP_ANSWERS)
    deleted[ANSWERS] += await delete_rows(tables, ANSWERS, tables.query(ANSWERS, tenant, where=answered, select=()))
    return deleted


async def purge_requests(tables: Tables, tenant: str, before: datetime) -> int:
    """Delete the privacy requests that ended before."""
    old: Condition = Compare(ENDED_AT, "le", before)
    return await delete_rows(tables, REQUESTS, tables.query(REQUESTS, tenant, where=old, select=()))


async def tenants_with_data(tables: Tables) -> AsyncIterator[str]:
    """Every tenant that has a row in any table, in order. Takes one request per tenant and table, however many rows there are."""
    names = (
        AUDIT,
        REQUESTS,
        TENANTS,
        SYNCS,
        REPLICAS,
        REFUSALS,
        CHOICES,
        SOURCES,
        SNAPSHOTS,
        LEDGERS,
        RUNS,
        CHUNKS,
        NOTICES,
        POISON,
        ANSWERS,
    )
    tenant: str | None = ""
    upcoming = dict.fromkeys(names, "")
    while tenant is not None:
        for table in [name for name, first in upcoming.items() if first == tenant]:
            first = await _first_tenant(tables, table, after=tenant)
            if first is None:
                del upcoming[table]
            else:
                upcoming[table] = first
        tenant = min(upcoming.values(), default=None)
        if tenant is not None:
            yield tenant


async def _first_tenant(tables: Tables, table: str, *, after: str) -> str | None:
    _, end = partitions_of(after) if after else ("", "")
    async for entity in tables.scan(table, partitions_from=end, select=(), limit=1):
        return entity.partition.partition(":")[0]
    return None


async def _readable_again(rows: AsyncIterator[Entity]) -> AsyncIterator[Entity]:
    async for entity in rows:
        if not entity.partition.partition(":")[2].startswith((FILE, PUSH)):
            yield entity


async def delete_rows(tables: Tables, table: str, rows: AsyncIterator[Entity]) -> int:
    """Delete rows as they come, in transactions of one partition each."""
    count = 0
    group: list[Remove] = []
    where = ""
    async for entity in rows:
        if group and (len(group) == MOST_WRITES or entity.partition != where):
            await tables.commit(table, where, group)
            group = []
        where = entity.partition
        group.append(Remove(entity.row))
        count += 1
    if group:
        await tables.commit(table, where, group)
    return count
