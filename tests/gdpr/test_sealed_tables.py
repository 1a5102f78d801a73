"""What may name people is encrypted in every table, and bound to its place."""

from __future__ import annotations

import pytest

from gdpr.encryption import TenantKeyring
from gdpr.sealed_tables import SealedTables
from local.memory import MemoryTables
from sync_core.errors import LostPagesError
from sync_core.ports import AllOf, Compare, Insert, Put, Remove, Replace
from sync_core.state.names import RUNS, SYNCS
from tests.engine.world import OneSecret

SECRET = "Zilpzalp"


def both() -> tuple[MemoryTables, SealedTables]:
    stored = MemoryTables()
    return stored, SealedTables(stored, TenantKeyring(stored, OneSecret()))


async def test_values_come_back_and_are_stored_sealed() -> None:
    stored, tables = both()
    [etag] = await tables.commit(SYNCS, "t", [Insert("a", {"Definition": SECRET, "Revision": 1, "Held": None})])
    await tables.commit(SYNCS, "t", [Replace("a", {"Definition": SECRET * 2, "Revision": 2}, etag)])
    await tables.commit(SYNCS, "t", [Put("b", {"Revision": 3}), Remove("none")])
    entity = await tables.get(SYNCS, "t", "a")
    assert entity
    assert entity.values == {"Definition": SECRET * 2, "Revision": 2}
    assert [entity.values.get("Definition") async for entity in tables.query(SYNCS, "t")] == [SECRET * 2, None]
    assert [entity.row async for entity in tables.scan(SYNCS, where=Compare("Revision", "eq", 2))] == ["a"]
    assert [entity.values async for entity in tables.query(SYNCS, "t", select=["Revision"])] == [{"Revision": 2}, {"Revision": 3}]
    assert SECRET not in repr([entity async for entity in stored.scan(SYNCS)])


@pytest.mark.parametrize("where", [("other", "a"), ("t", "b")])
async def test_a_row_copied_to_another_tenant_or_place_does_not_open(where: tuple[str, str]) -> None:
    stored, tables = both()
    await tables.commit(SYNCS, "t", [Insert("a", {"Definition": SECRET})])
    copied = await stored.get(SYNCS, "t", "a")
    assert copied
    partition, row = where
    await stored.commit(SYNCS, partition, [Put(row, copied.values)])
    with pytest.raises(LostPagesError):
        await tables.get(SYNCS, partition, row)
    await stored.commit(RUNS, "t", [Put("a", {"Detail": copied.values["Definition"]})])
    with pytest.raises(LostPagesError):
        await tables.get(RUNS, "t", "a")


async def test_a_plain_value_is_refused_and_one_tenants_loss_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    stored, tables = both()
    for tenant in ("one", "two"):
        await tables.commit(SYNCS, tenant, [Insert("a", {"Definition": SECRET})])
    await stored.commit(SYNCS, "one", [Put("a", {"Definition": "plain"})])
    with pytest.raises(LostPagesError):
        await tables.get(SYNCS, "one", "a")
    assert [entity.partition async for entity in tables.scan(SYNCS)] == ["two"]
    assert "tenant one" in caplog.text


async def test_nothing_is_found_by_what_is_sealed() -> None:
    _, tables = both()
    with pytest.raises(ValueError, match="sealed"):
        [entity async for entity in tables.query(SYNCS, "t", where=AllOf((Compare("Definition", "eq", SECRET),)))]
