from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdpr.encryption import TenantSealer
from local.memory import MemoryTables
from sync_core.errors import LostPagesError
from sync_core.ports import Put, Remove, Row
from sync_core.state.pages import (
    LARGEST_PAGE,
    open_values,
    read_page,
    read_pages,
    remove_pages,
    sealed_values,
    write_pages,
)

READ_AT = datetime(2026, 10, 1, 2, 3, 4, tzinfo=UTC)
SEALER = TenantSealer("tenant", bytes(32))
contents = st.dictionaries(st.from_regex(r"[a-z0-9:]{1,12}", fullmatch=True), st.binary(max_size=300), max_size=30)


async def stored(tables: MemoryTables) -> dict[str, bytes]:
    return {row: plain async for row, plain, _ in read_pages(tables, SEALER, "things", "p")}


@given(pages=contents, start=st.text("abc:", max_size=2), end=st.text("abc:", max_size=2))
@settings(max_examples=60)
async def test_what_was_written_is_read_back_in_order(pages: dict[str, bytes], start: str, end: str) -> None:
    tables = MemoryTables()
    await write_pages(tables, SEALER, "things", "p", pages, read_at=READ_AT)
    wanted = sorted(row for row in pages if row >= start and (not end or row < end))
    read = [(row, plain) async for row, plain, _ in read_pages(tables, SEALER, "things", "p", start, end)]
    assert read == [(row, pages[row]) for row in wanted]
    await remove_pages(tables, "things", "p", wanted)
    assert await stored(tables) == {row: plain for row, plain in pages.items() if row not in wanted}


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 60, 64 * 1024, 200_000, LARGEST_PAGE - 400])
async def test_a_page_of_any_size_up_to_a_megabyte(size: int) -> None:
    tables, content = MemoryTables(), os.urandom(size)
    await write_pages(tables, SEALER, "things", "p", {"a": content}, read_at=READ_AT)
    assert await read_page(tables, SEALER, "things", "p", "a") == content


async def test_a_page_beyond_that_is_refused_before_it_is_written() -> None:
    tables = MemoryTables()
    with pytest.raises(ValueError, match="make pages smaller"):
        await write_pages(tables, SEALER, "things", "p", {"a": os.urandom(LARGEST_PAGE + 1)}, read_at=READ_AT)
    assert tables.transactions.total() == 0


async def test_a_smaller_page_over_a_larger_one_leaves_nothing_of_it() -> None:
    tables = MemoryTables()
    for content in (os.urandom(300_000), b"small"):
        await write_pages(tables, SEALER, "things", "p", {"a": content}, read_at=READ_AT)
    entity = await tables.get("things", "p", "a")
    assert entity is not None
    assert set(entity.values) == {"ReadAt", "Page0"}
    assert open_values(SEALER, "things", entity) == b"small"


async def test_rows_tell_when_their_content_was_read_and_what_the_caller_adds() -> None:
    tables = MemoryTables()
    extra: dict[str, Row] = {"b": {"Count": 3, "ReadAt": datetime(2030, 1, 1, tzinfo=UTC)}}
    await write_pages(tables, SEALER, "things", "p", {"a": b"1", "b": b"2"}, read_at=READ_AT, extra=extra)
    values = [entity.values async for _, _, entity in read_pages(tables, SEALER, "things", "p")]
    assert [(row["ReadAt"], row.get("Count")) for row in values] == [(READ_AT, None), (READ_AT, 3)]


@pytest.mark.parametrize(("count", "size", "transactions"), [(250, 10, 3), (12, 700_000, 3), (1, 10, 1)])
async def test_writes_take_as_few_transactions_as_the_limits_allow(count: int, size: int, transactions: int) -> None:
    tables = MemoryTables()
    content = os.urandom(size)
    await write_pages(tables, SEALER, "things", "p", {f"{n:03d}": content for n in range(count)}, read_at=READ_AT)
    assert tables.transactions["things", "commit"] == transactions
    assert len(await stored(tables)) == count


async def test_many_pages_are_read_with_one_request() -> None:
    tables = MemoryTables()
    await write_pages(tables, SEALER, "things", "p", {f"{n:03d}": b"x" for n in range(200)}, read_at=READ_AT)
    tables.transactions.clear()
    assert len(await stored(tables)) == 200
    assert tables.transactions == {("things", "query"): 1}


async def test_a_missing_page_is_none_and_a_damaged_or_moved_one_is_lost() -> None:
    tables = MemoryTables()
    await write_pages(tables, SEALER, "things", "p", {"a": os.urandom(100_000)}, read_at=READ_AT)
    entity = await tables.get("things", "p", "a")
    assert entity is not None
    assert await read_page(tables, SEALER, "things", "p", "b") is None
    without_a_part = {name: value for name, value in entity.values.items() if name != "Page1"}
    cases: list[tuple[str, str, str, Row]] = [
        ("things", "p", "b", entity.values),
        ("things", "q", "a", entity.values),
        ("others", "p", "a", entity.values),
        ("things", "p", "a", without_a_part),
        ("things", "p", "a", {"ReadAt": READ_AT}),
    ]
    for table, partition, row, values in cases:
        await tables.commit(table, partition, [Put(row, values)])
        with pytest.raises(LostPagesError):
            await read_page(tables, SEALER, table, partition, row)


async def test_removing_pages_that_are_gone_is_no_error() -> None:
    tables = MemoryTables()
    await write_pages(tables, SEALER, "things", "p", {f"{n:03d}": b"x" for n in range(150)}, read_at=READ_AT)
    for _ in range(2):
        await remove_pages(tables, "things", "p", [f"{n:03d}" for n in range(149)])
    assert list(await stored(tables)) == ["149"]
    await remove_pages(tables, "things", "p", [])


async def test_a_page_can_be_written_in_a_transaction_of_the_callers() -> None:
    tables = MemoryTables()
    values = sealed_values(SEALER, "things", "p", "head", b"content", read_at=READ_AT, extra={"Version": 7})
    await tables.commit("things", "p", [Put("head", values), Put("other", {}), Remove("old")])
    entity = await tables.get("things", "p", "head")
    assert entity is not None
    assert entity.values["Version"] == 7
    assert open_values(SEALER, "things", entity) == b"content"
