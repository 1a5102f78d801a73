"""What a new snapshot leaves as it is in storage, and what becomes of that."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from sync_core.engine import undo
from sync_core.ports import Entity, Remove
from sync_core.state import pages
from sync_core.state.names import SNAPSHOTS, SOURCES, partition
from sync_core.state.snapshots import SnapshotHead, SnapshotStore
from tests.engine.test_remembered import proposals
from tests.engine.world import SYNC, TENANT, World

PEOPLE = 900
NOBODY: dict[str, object] = {"targets": {"include": []}}
WHERE = partition(TENANT, SYNC)


async def planned(**definition: object) -> tuple[World, list[str]]:
    world = World()
    people = world.hire_many(PEOPLE, mailboxes=1)
    await world.connect({**NOBODY, **definition})
    await world.run()
    return world, people


async def stored(world: World, kind: str = "") -> dict[str, Entity]:
    rows = {entity.row: entity async for entity in world.tables.query(SNAPSHOTS, WHERE, start="p:", end="p;")}
    return {row: entity for row, entity in rows.items() if ("roster" in row) is (kind == "roster")}


async def store_and_head(world: World) -> tuple[SnapshotStore, SnapshotHead]:
    keys = await world.context.keyring.keys(TENANT)
    store = SnapshotStore(world.tables, keys.sealer, TENANT, SYNC)
    head = await store.head()
    assert head is not None
    return store, head


def read_at(rows: dict[str, Entity]) -> set[object]:
    return {entity.values["ReadAt"] for entity in rows.values()}


async def test_only_the_page_of_who_has_changed_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    world, people = await planned()
    before = await stored(world)
    assert len(before) == 4
    read: list[str] = []
    original = pages.open_values

    def noting(sealer: object, table: str, entity: Entity) -> bytes:
        if entity.row.startswith("p:"):
            read.append(table)
        return original(sealer, table, entity)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "open_values", noting)
    world.tenant.change_user(people[7], {"department": "Legal"})
    await world.run()
    assert sorted(read) == [SNAPSHOTS, SNAPSHOTS, SOURCES, SOURCES]  # a page and the roster; a page twice: by delta, as a person
    after = await stored(world)
    same = before.keys() & after.keys()
    assert (len(same), len(after)) == (4, 5)  # the fifth is kept for an undo
    assert {row: before[row].etag for row in same} == {row: after[row].etag for row in same}
    assert len(await stored(world, "roster")) == 1
    assert read_at(after) == read_at(before) == read_at(await stored(world, "roster"))

    world.clock.advance(timedelta(days=8))
    await world.run()
    (newest,) = read_at(await stored(world)) - read_at(before)
    _, head = await store_and_head(world)
    assert isinstance(newest, datetime)
    assert (head.read_at, set(head.pages)) == (newest, {head.generation})


async def test_a_source_is_read_once_for_a_list_with_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = await planned(photos="240x240")
    await world.define({**NOBODY, "photos": "240x240", "fields": {"names": "surname_given"}})
    read: list[str] = []
    original = pages.open_values

    def noting(sealer: object, table: str, entity: Entity) -> bytes:
        if entity.partition == partition(TENANT, "users") and entity.row.startswith("p:"):
            read.append(entity.row)
        return original(sealer, table, entity)  # type: ignore[arg-type]

    monkeypatch.setattr(pages, "open_values", noting)
    await world.run()
    assert (len(read), len(set(read))) == (4, 4)


async def test_people_move_when_the_pages_become_more() -> None:
    world, _ = await planned()
    _, before = await store_and_head(world)
    for number in range(800):
        world.hire(f"New Hire{number}", mailbox="none")
    changed, anew = await proposals(world)
    assert len(changed.mapped) == 800 < len(anew.mapped)
    await world.run()
    _, after = await store_and_head(world)
    assert len(after.digests) == 2 * len(before.digests)
    changed, anew = await proposals(world)
    assert changed.stored == anew.items
    assert not changed.mapped


async def test_an_undo_brings_back_pages_that_both_snapshots_share() -> None:
    world, people = await planned()
    store, before = await store_and_head(world)
    world.tenant.change_user(people[7], {"department": "Legal"})
    run = await world.run()
    await undo.undo(world.context, TENANT, run.run)
    await world.settle()
    store, after = await store_and_head(world)
    assert (after.digest, after.pages) == (before.digest, before.pages)
    assert sum([len(await store.page(after, number)) for number in range(4)]) == PEOPLE
    assert len((await proposals(world))[0].mapped) == PEOPLE  # of this one nothing is remembered any more


@pytest.mark.parametrize("kind", ["page", "roster"])
async def test_what_is_lost_is_made_anew(kind: str) -> None:
    world, people = await planned()
    world.tenant.change_user(people[7], {"department": "Legal"})
    await world.run()
    _, head = await store_and_head(world)
    lost = next(iter(await stored(world, kind)))
    if kind == "page":
        lost = next(
            f"p:{generation}:{number:05d}" for number, generation in enumerate(head.pages) if generation != head.generation
        )
    await world.tables.commit(SNAPSHOTS, WHERE, [Remove(lost)])
    changed, anew = await proposals(world)
    assert changed.mapped == anew.mapped
    await world.run()
    world.tenant.change_user(people[8], {"department": "Legal"})
    await world.run()
    changed, anew = await proposals(world)
    assert changed.stored == anew.items


async def test_nothing_is_remembered_of_who_was_stripped() -> None:
    world, people = await planned()
    world.tenant.change_user(people[7], {"department": "Legal"})
    await world.run()
    store, head = await store_and_head(world)
    gone = f"u:{people[9]}"
    assert gone.encode() in await store.roster(head)
    await store.strip(lambda item: None if item.key == gone else item, epoch=1, policies="")
    assert not await stored(world, "roster")
    for left in (await store.head(), await store.previous()):
        assert left is not None
        assert not await store.roster(left)
        found = [gone in await store.page(left, number) for number in range(len(left.digests))]
        assert not any(found)
        assert left.count == PEOPLE - 1
