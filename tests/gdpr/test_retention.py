from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.tables import AzureTables
from gdpr.encryption import TenantSealer
from gdpr.retention import CACHE_LIMIT, KEEP_RUNS, purge_caches, purge_expired, tenants_with_data
from local.azurite import Azurite
from local.memory import MemoryTables
from sync_core.ports import Put, Row, Tables
from sync_core.state.names import (
    ANSWERS,
    CACHES,
    CHUNKS,
    LEDGERS,
    NOTICES,
    POISON,
    REPLICAS,
    RUNS,
    SNAPSHOTS,
    SOURCES,
    SYNCS,
    TENANTS,
    partition,
    partitions_of,
)
from sync_core.state.pages import write_pages
from sync_core.state.runs import new_run_id

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
T, OTHER = "11111111-aaaa-4000-8000-000000000001", "11111111-aaaa-4000-8000-000000000002"
SEALER = TenantSealer(T, bytes(32))


async def put(tables: Tables, table: str, where: str, row: str, values: Row | None = None) -> None:
    await tables.commit(table, where, [Put(row, values or {})])


async def held(tables: Tables, table: str) -> list[tuple[str, str]]:
    return [(entity.partition, entity.row) async for entity in tables.scan(table, select=())]


async def filled(tables: Tables) -> None:
    for tenant in (T, OTHER):
        for table, part in [(SOURCES, "users"), (SNAPSHOTS, "s1"), (SNAPSHOTS, "s2"), (LEDGERS, "s1"), (LEDGERS, "s2")]:
            rows = {"head": b"h", "page": b"p"}
            await write_pages(tables, SEALER, table, partition(tenant, part), rows, read_at=NOW)
        for table, where in [(TENANTS, tenant), (SYNCS, tenant), (REPLICAS, partition(tenant, "s1")), (RUNS, tenant)]:
            await put(tables, table, where, "row")
        await put(tables, CHUNKS, partition(tenant, new_run_id(NOW)), "0")


async def test_purging_a_tenants_caches_empties_them_and_nothing_else() -> None:
    tables = MemoryTables()
    await filled(tables)
    assert await purge_caches(tables, T) == {SOURCES: 2, SNAPSHOTS: 4, LEDGERS: 4}
    for table in CACHES:
        assert {where.partition(":")[0] for where, _ in await held(tables, table)} == {OTHER}
    for table in (TENANTS, SYNCS, REPLICAS, RUNS, CHUNKS):
        assert len(await held(tables, table)) == 2
    assert await purge_caches(tables, T) == {SOURCES: 0, SNAPSHOTS: 0, LEDGERS: 0}


async def test_purging_after_a_sync_leaves_the_snapshots_and_ledgers_of_other_syncs() -> None:
    tables = MemoryTables()
    await filled(tables)
    assert await purge_caches(tables, T, "s1") == {SOURCES: 2, SNAPSHOTS: 2, LEDGERS: 2}
    for table in (SNAPSHOTS, LEDGERS):
        assert {where for where, _ in await held(tables, table)} == {
            partition(T, "s2"),
            partition(OTHER, "s1"),
            partition(OTHER, "s2"),
        }


@given(ages=st.lists(st.integers(0, 70 * 24), min_size=1, max_size=20), late=st.integers(0, 24))
@settings(max_examples=50)
async def test_nothing_read_more_than_sixty_days_ago_is_held_between_daily_purges(ages: list[int], late: int) -> None:
    """Even when the next purge comes up to a whole day late."""
    tables = MemoryTables()
    for number, age in enumerate(ages):
        read_at = NOW - timedelta(hours=age)
        await write_pages(tables, SEALER, LEDGERS, partition(T, "s"), {f"{number:03d}": b"x"}, read_at=read_at)
    await purge_expired(tables, T, NOW)
    kept = {int(row) for _, row in await held(tables, LEDGERS)}
    until = NOW + DAY + timedelta(hours=late)
    assert all(NOW - timedelta(hours=ages[number]) >= until - CACHE_LIMIT for number in kept)
    assert kept >= {number for number, age in enumerate(ages) if age < 58 * 24}


async def test_heads_and_pages_of_every_cache_expire_alike() -> None:
    tables = MemoryTables()
    await filled(tables)
    later = NOW + timedelta(days=59)
    assert await purge_expired(tables, T, later) == {
        SOURCES: 2,
        SNAPSHOTS: 4,
        LEDGERS: 4,
        CHUNKS: 1,
        RUNS: 0,
        POISON: 0,
        ANSWERS: 0,
        NOTICES: 0,
        TENANTS: 0,
    }
    assert {where for table in CACHES for where, _ in await held(tables, table)} == {
        partition(OTHER, "s1"),
        partition(OTHER, "s2"),
        partition(OTHER, "users"),
    }
    assert await purge_expired(tables, T, later) == {
        SOURCES: 0,
        SNAPSHOTS: 0,
        LEDGERS: 0,
        CHUNKS: 0,
        RUNS: 0,
        POISON: 0,
        ANSWERS: 0,
        NOTICES: 0,
        TENANTS: 0,
    }


async def test_chunks_go_after_sixty_days_and_finished_runs_after_a_year() -> None:
    tables = MemoryTables()
    runs = {days: new_run_id(NOW - timedelta(days=days)) for days in (0, 57, 59, 364, 366)}
    for days, run in runs.items():
        await put(tables, CHUNKS, partition(T, run), "000000")
        await put(tables, RUNS, T, run, {"EndedAt": NOW - timedelta(days=days)})
    await put(tables, RUNS, T, "never-ended", {"State": "running"})
    assert timedelta(days=365) == KEEP_RUNS
    await purge_expired(tables, T, NOW)
    assert {where for where, _ in await held(tables, CHUNKS)} == {partition(T, runs[0]), partition(T, runs[57])}
    assert {row for _, row in await held(tables, RUNS)} == {runs[0], runs[57], runs[59], runs[364], "never-ended"}


async def test_a_purge_that_died_half_way_is_finished_by_the_next() -> None:
    tables = MemoryTables()
    rows = {f"{number:04d}": b"x" for number in range(450)}
    await write_pages(tables, SEALER, LEDGERS, partition(T, "s"), rows, read_at=NOW - timedelta(days=80))
    commits = 0

    async def die(moment: str, operation: str, target: str) -> None:
        nonlocal commits
        commits += (moment, operation) == ("after", "commit")
        if commits == 3:
            raise KeyboardInterrupt

    tables.hook = die
    with pytest.raises(KeyboardInterrupt):
        await purge_expired(tables, T, NOW)
    tables.hook = MemoryTables().hook
    assert (await purge_expired(tables, T, NOW))[LEDGERS] == 150
    assert await held(tables, LEDGERS) == []


async def test_tenants_are_found_wherever_they_have_a_row_with_few_requests() -> None:
    tables = MemoryTables()
    assert [tenant async for tenant in tenants_with_data(tables)] == []
    tenants = [f"1111111{number}-aaaa-4000-8000-000000000000" for number in range(8)]
    places = [(TENANTS, ""), (SYNCS, ""), (REPLICAS, ":s"), (SOURCES, ":u"), (SNAPSHOTS, ":s"), (LEDGERS, ":s"), (RUNS, "")]
    for tenant, (table, suffix) in zip(tenants, [*places, (CHUNKS, ":r")], strict=True):
        await put(tables, table, tenant + suffix, "row")
        await put(tables, LEDGERS, f"{tenants[3]}:{table}", "row")
    assert [tenant async for tenant in tenants_with_data(tables)] == tenants
    await filled(tables)
    assert [tenant async for tenant in tenants_with_data(tables)] == sorted({*tenants, T, OTHER})


def test_the_bounds_of_a_tenant_hold_all_its_partitions_and_no_others() -> None:
    start, end = partitions_of("t")
    assert all(start <= partition("t", part) < end for part in ["", "-", "0", "zz", "~", "a:b"])
    assert not any(start <= other < end for other in ["t", partition("s", "~"), partition("t0", ""), partition("u", "")])


@pytest.fixture
async def azure(azurite: Azurite) -> AsyncIterator[AzureTables]:
    tables = AzureTables(connection_string=azurite.connection_string)
    yield tables
    await tables.close()


async def test_on_real_storage(azure: AzureTables, unique: Callable[[str], str]) -> None:
    tenant, other = unique("a"), unique("b")
    for name in (tenant, other):
        for age in (10, 59):
            pages = {f"{age}:{number:04d}": b"x" for number in range(120)}
            await write_pages(azure, SEALER, LEDGERS, partition(name, "s"), pages, read_at=NOW - age * DAY)
            await put(azure, CHUNKS, partition(name, new_run_id(NOW - age * DAY)), "000000")
            await put(azure, RUNS, name, new_run_id(NOW - age * DAY), {"EndedAt": NOW - 10 * age * DAY})
    assert [name async for name in tenants_with_data(azure) if name in (tenant, other)] == [tenant, other]
    assert await purge_expired(azure, tenant, NOW) == {
        SOURCES: 0,
        SNAPSHOTS: 0,
        LEDGERS: 120,
        CHUNKS: 1,
        RUNS: 1,
        POISON: 0,
        ANSWERS: 0,
        NOTICES: 0,
        TENANTS: 0,
    }
    assert await purge_caches(azure, tenant) == {SOURCES: 0, SNAPSHOTS: 0, LEDGERS: 120}
    start, end = partitions_of(other)
    assert len([row async for row in azure.scan(LEDGERS, partitions_from=start, partitions_to=end, select=())]) == 240


async def test_given_up_messages_go_after_sixty_days_readable_or_not() -> None:
    tables = MemoryTables()
    for where in (T, "unreadable"):
        for age in (1, 57, 60, 400):
            await put(tables, POISON, where, new_run_id(NOW - age * DAY))

    for where in [tenant async for tenant in tenants_with_data(tables)]:
        await purge_expired(tables, where, NOW)

    left = [row for _, row in await held(tables, POISON)]
    assert len(left) == 4
    assert all(row < new_run_id(NOW - 58 * DAY) for row in left)
