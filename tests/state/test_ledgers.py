"""Ledgers in their rows: whatever changes, what was saved is read back, and nothing else is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdpr.encryption import TenantSealer
from local.memory import MemoryTables
from sync_core.errors import LostPagesError
from sync_core.model import Held
from sync_core.ports import Merge, Write
from sync_core.state.ledgers import IN_ROW, Ledger, LedgerStore, repack
from sync_core.state.names import LEDGERS, READ_AT

NOW = datetime(2026, 10, 1, 2, 3, 4, tzinfo=UTC)
MAILBOX = "m"


def store(tables: MemoryTables) -> LedgerStore:
    return LedgerStore(tables, TenantSealer("t", bytes(32)), "t", "s")


def entries(count: int, *, size: int = 8) -> dict[str, Held]:
    return {f"u:{number}": Held(f"{number}{'i' * size}", "f") for number in range(count)}


async def whole(tables: MemoryTables, *, along: bool = False) -> tuple[Ledger, Mapping[str, Held]]:
    ledger = await store(tables).open(MAILBOX, along=along)
    assert ledger
    await store(tables).load(MAILBOX, ledger)
    return ledger, ledger.everything()


async def values(tables: MemoryTables) -> dict[str, set[str]]:
    return {entity.row: set(entity.values) async for entity in tables.scan(LEDGERS)}


@given(
    buckets=st.sampled_from([1, 2, IN_ROW, 2 * IN_ROW, 8 * IN_ROW]),
    nights=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.sampled_from([0, 3, 200])), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
async def test_what_was_saved_is_read_back(buckets: int, nights: list[tuple[bool, int, int]], seed: int) -> None:
    """However few buckets a night loads, and however large it makes and leaves the entries that it changes."""
    tables, random = MemoryTables(), Random(seed)
    model = entries(100)
    await store(tables).save(MAILBOX, Ledger.of(model, buckets, folder_id="f", now=NOW))
    for along, changes, size in nights:
        ledger = await store(tables).open(MAILBOX, along=along)
        assert ledger
        keys = random.sample(sorted(entries(110)), changes)
        await store(tables).load(MAILBOX, ledger, {ledger.bucket_of(key) for key in keys})
        for key in keys:
            assert ledger.entry(key) == model.get(key)
            entry = Held(f"{random.random()}{'i' * 100 * size}", "f") if random.random() < 0.7 else None
            ledger.put(key, entry)
            model.pop(key, None)
            if entry is not None:
                model[key] = entry
        ledger.head.delta_link = f"{random.random()}"
        await store(tables).save(MAILBOX, ledger)
        ledger_now, found = await whole(tables, along=along)
        assert found == model
        assert ledger_now.head == replace(ledger.head, count=len(model))


async def test_a_ledger_is_one_row_and_takes_one_request_each_way() -> None:
    tables = MemoryTables()
    await store(tables).save(MAILBOX, Ledger.of(entries(100), 4, folder_id="f", now=NOW))
    assert await values(tables) == {"m:00000": {READ_AT, "Head", "Bucket0", "Bucket1", "Bucket2", "Bucket3"}}
    assert len((await whole(tables, along=True))[1]) == 100
    assert tables.transactions == {(LEDGERS, "commit"): 1, (LEDGERS, "get"): 1, (LEDGERS, "scan"): 1}


async def test_a_small_change_writes_the_head_and_one_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = MemoryTables()
    await store(tables).save(MAILBOX, Ledger.of(entries(100), 4, folder_id="f", now=NOW))
    ledger = await store(tables).open(MAILBOX)
    assert ledger
    await store(tables).load(MAILBOX, ledger, {ledger.bucket_of("u:7")})
    assert len(ledger.loaded) == 1
    ledger.put("u:7", Held("other", "f"))
    commits: list[tuple[str, str, list[Write]]] = []
    commit = tables.commit

    async def note(table: str, partition: str, writes: list[Write]) -> list[str]:
        commits.append((table, partition, writes))
        return await commit(table, partition, writes)

    monkeypatch.setattr(tables, "commit", note)
    await store(tables).save(MAILBOX, ledger)
    [(_, _, [write])] = commits
    assert isinstance(write, Merge)
    assert set(write.values) == {READ_AT, "Head", f"Bucket{ledger.bucket_of('u:7')}"}


@pytest.mark.parametrize("along", [False, True])
async def test_a_bucket_beyond_one_value_takes_several_and_gives_them_up_again(along: bool) -> None:
    tables = MemoryTables()
    ledger = Ledger.of(entries(10, size=15_000), 2, folder_id="f", now=NOW)
    await store(tables).save(MAILBOX, ledger)
    assert {"Bucket0", "Bucket0b"} <= (await values(tables))["m:00000"]
    ledger = await store(tables).open(MAILBOX, along=along) or ledger
    await store(tables).load(MAILBOX, ledger, {0})
    _, *gone = ledger.loaded[0]
    for key in gone:
        ledger.put(key, None)
    await store(tables).save(MAILBOX, ledger)
    entity = await tables.get(LEDGERS, "t:s", "m:00000")
    assert entity
    assert entity.values["Bucket0b"] == b""
    assert (await whole(tables))[1].keys() == entries(10).keys() - set(gone)


async def test_a_bucket_that_no_row_could_hold_is_refused() -> None:
    tables = MemoryTables()
    with pytest.raises(ValueError, match="make buckets smaller"):
        await store(tables).save(MAILBOX, Ledger.of(entries(20, size=15_000), 1, folder_id="f", now=NOW))


@pytest.mark.parametrize(("before", "after"), [(64, 8), (8, 64), (32, 1), (4, 2)])
async def test_packed_into_other_buckets_nothing_of_before_is_left(before: int, after: int) -> None:
    tables = MemoryTables()
    await store(tables).save(MAILBOX, Ledger.of(entries(200), before, folder_id="f", now=NOW))
    await store(tables).save("n", Ledger.of(entries(1), 64, folder_id="f", now=NOW))
    ledger, _ = await whole(tables)
    await store(tables).remove(MAILBOX, above=after)
    await store(tables).save(MAILBOX, repack(ledger, after))
    assert (await whole(tables))[1] == entries(200)
    rows = {row: names for row, names in (await values(tables)).items() if row.startswith("m:")}
    assert len(rows) == -(-after // IN_ROW)
    assert sum("Bucket" in name for names in rows.values() for name in names) == after
    await store(tables).remove(MAILBOX)
    assert {row.partition(":")[0] for row in await values(tables)} == {"n"}


async def test_a_row_whose_buckets_are_gone_is_lost_and_not_empty() -> None:
    tables = MemoryTables()
    await store(tables).save(MAILBOX, Ledger.of(entries(100), 4, folder_id="f", now=NOW))
    ledger = await store(tables).open(MAILBOX)
    assert ledger
    await store(tables).load(MAILBOX, ledger, {0})
    await store(tables).remove(MAILBOX)
    await store(tables).save(MAILBOX, ledger)  # purged meanwhile: the head is there again, and nothing else
    again = await store(tables).open(MAILBOX, along=True)
    assert again
    with pytest.raises(LostPagesError):
        await store(tables).load(MAILBOX, again)
